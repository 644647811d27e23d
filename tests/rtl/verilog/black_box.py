"""A component's Verilog in the place of the component, so that one bench tests both.

::

    bench ◄─► ports ◄─► Amaranth's simulator ◄─exchange─► cocotb ◄─► Verilator
"""

from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal, Value
from amaranth.lib import wiring
from cocotb.task import resume
from cocotb.triggers import Timer

from rtl.lib.emit import mark_used


class BlackBox(Elaboratable):
    """A stand-in for ``component`` in Amaranth's simulator: nothing but its ports.

    Whenever the clock or an input changes, :meth:`exchange` carries the inputs to Verilator and
    the outputs back. So an edge of the clock finds the inputs of before the edge, as registers do,
    and a bench that sets an input sees combinational outputs follow at once.

    The simulator must run in a thread of ``cocotb.task.bridge``, with ``exchange`` as a process.

    Parameters
    ----------
    component : wiring.Component
        The component whose ports the bench drives; it is not elaborated.
    dut : cocotb's handle
        The component's Verilog, by :func:`rtl.build.verilog.emit_verilog`, with public ports.
    reset : Signal
        Reset of the module.
    prefix : str
        Stands before the names of the component's ports, where it is one of several in dut.

    Raises
    ------
    ValueError
        If a port is not there, or has another width: the Verilog is another component's.
    """

    def __init__(self, component: wiring.Component, dut: Any, reset: Signal, prefix: str = ""):
        mark_used(component)  # its Verilog was elaborated in its place
        self.sync = ClockDomain("sync", reset_less=True)
        self.inputs = [(dut.clk, self.sync.clk), (dut.rst, reset)]
        self.outputs = []
        for path, member, port in component.signature.flatten(component):
            name, value = prefix + "__".join(map(str, path)), Value.cast(port)
            handle = getattr(dut, name, None)
            if handle is None or len(handle) != len(value):
                raise ValueError(f"{dut._name} has no port {name} of {len(value)} bits")
            (self.inputs if member.flow is wiring.In else self.outputs).append((handle, value))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = self.sync
        return m

    async def exchange(self, ctx: Any) -> None:
        """Start from a reset, then follow the inputs for ever."""
        (clock, _), (reset, _), *_ = self.inputs
        for level in (0, 1, 0):
            self._settle([(clock, level), (reset, 1)])
        known: list[int | None] = [None] * len(self.inputs)
        async for values in ctx.changed(*(value for _, value in self.inputs)):
            changes = [
                (handle, new & ((1 << len(value)) - 1))
                for (handle, value), old, new in zip(self.inputs, known, values, strict=True)
                if new != old
            ]
            known = list(values)
            for (_, value), new in zip(self.outputs, self._settle(changes), strict=True):
                ctx.set(value, new)

    @resume
    async def _settle(self, changes: list[tuple[Any, int]]) -> list[int]:
        """Change inputs; return the outputs a nanosecond later."""
        for handle, value in changes:
            handle.value = value
        await Timer(1, "ns")
        return [int(str(handle.value), 2) for handle, _ in self.outputs]
