"""Drive a component from one stream to another, with idle cycles and back-pressure."""

import random
from dataclasses import dataclass, field
from typing import Any

from amaranth.lib import wiring

from tests.rtl.simulation import simulate

FLOWS = [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.6)]
"""Chances, per cycle, that no input is offered, and that no output is taken."""


@dataclass
class Transfers:
    """Cycles of the inputs, and cycles and payloads of the outputs."""

    taken: list[int] = field(default_factory=list)
    given: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def payloads(self) -> list[Any]:
        return [payload for _, payload in self.given]


def pass_through(
    component: wiring.Component,
    inputs: list[Any],
    outputs: int,
    *,
    idle: float = 0,
    refuse: float = 0,
    timeout: int = 20_000,
) -> Transfers:
    """Offer ``inputs`` at ``i`` until ``outputs`` have left at ``o``; then nothing more may leave.

    What waits at ``o`` must not change.
    """
    choose, transfers = random.Random(len(inputs)), Transfers()

    async def bench(ctx):
        waiting, offers, held, rest = list(inputs), False, None, 8
        for cycle in range(timeout):
            offers = offers or (bool(waiting) and choose.random() >= idle)
            ctx.set(component.i.valid, offers)
            if offers:
                ctx.set(component.i.p, waiting[0])
            ctx.set(component.o.ready, choose.random() >= refuse)
            valid, payload = ctx.get(component.o.valid), ctx.get(component.o.p)
            assert held is None or (valid and payload == held)
            held = payload if valid and not ctx.get(component.o.ready) else None
            if valid and held is None:
                transfers.given.append((cycle, payload))
            if offers and ctx.get(component.i.ready):
                transfers.taken.append(cycle)
                waiting.pop(0)
                offers = False
            await ctx.tick()
            if len(transfers.given) >= outputs and not waiting:
                rest -= 1
            if not rest:
                break

    simulate(component, bench)
    assert len(transfers.taken) == len(inputs)
    assert len(transfers.given) == outputs
    return transfers
