"""Run benches on a component, in Amaranth's simulator or, inside cocotb, on its Verilog."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Elaboratable, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import Layout, View
from amaranth.sim import Simulator

Process = Callable[[Any], Coroutine]
Place = Callable[[wiring.Component, Signal], tuple[Elaboratable, list[Process]]]


@dataclass
class Trace:
    """Every port of a component before every edge of the clock."""

    ports: list[str]
    cycles: list[tuple[int, ...]] = field(default_factory=list)


def in_amaranth(component: wiring.Component, reset: Signal) -> tuple[Elaboratable, list[Process]]:
    """Take the component itself."""
    return ResetInserter(reset)(component), []


_place: Place = in_amaranth
_traces: list[Trace] | None = None


@contextmanager
def recorded(place: Place = in_amaranth) -> Iterator[list[Trace]]:
    """Traces of the simulations to come, which run what ``place`` gives for their component."""
    global _place, _traces
    before = _place, _traces
    _place, _traces = place, []
    try:
        yield _traces
    finally:
        _place, _traces = before


def simulate(
    component: wiring.Component,
    *benches: Process,
    background: Sequence[Process] = (),
    processes: Sequence[Process] = (),
    reset: Signal | None = None,
) -> None:
    """Run ``benches`` to their end on ``component``.

    Parameters
    ----------
    background : sequence of processes
        Benches that are left where they stand when the others have ended.
    processes : sequence of processes
        They react as registers do: sample before the clock's edge, drive after it.
    reset : Signal, optional
        Resets the component while it is 1.
    """
    design, more = _place(component, Signal() if reset is None else reset)
    simulator = Simulator(design)
    simulator.add_clock(1e-6, if_exists=True)  # a component of pure logic has none
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    for process in (*processes, *more):
        simulator.add_process(process)
    if _traces is not None:
        ports = dict(_ports(component))
        _traces.append(Trace(list(ports)))
        simulator.add_process(_recorder(list(ports.values()), _traces[-1]))
    simulator.run()


def _ports(component: wiring.Component) -> Iterator[tuple[str, Value]]:
    """Names and values of the ports, and in place of a structure that may be invalid its fields."""
    for path, _, port in component.signature.flatten(component):
        name = "__".join(map(str, path))
        fields = [key for key, _ in Layout.cast(port.shape())] if isinstance(port, View) else []
        if "valid" in fields:
            yield from ((f"{name}__{key}", Value.cast(port[key])) for key in fields)
        else:
            yield name, Value.cast(port)


def _recorder(ports: list[Value], trace: Trace) -> Process:

    async def record(ctx: Any) -> None:
        async for _, _, *values in ctx.tick().sample(*ports):
            trace.cycles.append(tuple(values))

    return record
