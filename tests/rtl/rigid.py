"""Drive a pipeline without flow control: a vector of inputs in, a vector of outputs out."""

from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from rtl.lib.devices import Primitives
from rtl.lib.emit import Emitter, mark_used
from tests.rtl.simulation import simulate


class OnDevice(Elaboratable):
    """A component as it is on devices with some primitives, which are all inferred."""

    def __init__(self, component: wiring.Component, primitives: Primitives):
        self.component, self.primitives = component, primitives

    def __getattr__(self, name: str) -> Any:
        return getattr(self.component, name)

    def elaborate(self, platform: object) -> Module:
        mark_used(self.component)
        return self.component.elaborate(Emitter(self.primitives))


def stream_through(component: wiring.Component, inputs: list[dict], latency: int) -> list[dict]:
    """Apply one of ``inputs`` per cycle; the outputs that belong to them, ``latency`` cycles later.

    Exact: a pipeline with another latency gives other values, unless all inputs are equal.
    """
    members = {path[0]: m.flow for path, m, _ in component.signature.flatten(component)}
    names = [name for name, flow in members.items() if flow is wiring.Out]
    outputs = []

    async def bench(ctx):
        for cycle in range(len(inputs) + latency):
            for name, value in inputs[min(cycle, len(inputs) - 1)].items():
                ctx.set(getattr(component, name), value)
            if cycle >= latency:
                outputs.append({name: ctx.get(getattr(component, name)) for name in names})
            await ctx.tick()

    simulate(component, bench)
    return outputs
