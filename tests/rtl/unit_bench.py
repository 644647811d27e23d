"""Common part of the softmax and norm benches: instructions in, activations written."""

import random
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Signal
from amaranth.lib import wiring

from rtl.config import EngineConfig
from tests.rtl.simulation import simulate

Granules = dict[tuple[int, int], tuple[list[int], int]]
"""Codes and the instruction's number, by (lane, granule address)."""


@dataclass
class UnitRun:
    """Record of one run of a unit."""

    taken: list[int] = field(default_factory=list)  # cycle in which each instruction was taken
    done: list[tuple] = field(default_factory=list)  # cycle, signal, number
    writes: list[tuple[int, Granules]] = field(default_factory=list)  # cycle, what it wrote
    scales: list[dict] = field(default_factory=list)  # of each instruction, when it is done
    stalls: Counter = field(default_factory=Counter)  # cycles, by the counter's name

    def granules(self, number: int) -> dict:
        """Codes by (lane, granule) that one instruction wrote; each must be written once."""
        written = [
            (place, codes)
            for _, beat in self.writes
            for place, (codes, writer) in beat.items()
            if writer == number
        ]
        assert len(written) == len(dict(written))
        return dict(written)


class UnitBench(ABC):
    """Drives a unit through ``cases``, one instruction after the other; writes may be refused.

    Parameters
    ----------
    dut : wiring.Component
        SoftmaxUnit or NormUnit.
    config : EngineConfig
    cases : list
        Each with the ``operands``, ``number`` and ``signal`` of an instruction.
    refuse_write : float
        Probability of a refusal, per cycle.
    reset_at : int, optional
        Cycle in which the unit is reset; then all cases start over.
    """

    STALLS = ("stall_write",)

    def __init__(
        self,
        dut: wiring.Component,
        config: EngineConfig,
        cases: list,
        *,
        refuse_write: float = 0.0,
        reset_at: int | None = None,
    ):
        self.dut = dut
        self.config = config
        self.cases = cases
        self.refuse_write = refuse_write
        self.reset_at = reset_at
        self.rng = random.Random(11)

    def run(self, cycles: int = 8000) -> UnitRun:
        """Run until all cases are done; at most ``cycles``."""
        self.reset = Signal()
        self.cycles = cycles
        simulate(self.dut, self._bench, reset=self.reset)
        return self.result

    async def _bench(self, ctx: Any) -> None:
        self._start()
        for cycle in range(self.cycles):
            ctx.set(self.reset, cycle == self.reset_at)
            if cycle == self.reset_at:
                await ctx.tick()
                self._start()
                continue
            self._offer(ctx)
            self._memories(ctx)
            ctx.set(self.dut.activations.ready, self.rng.random() >= self.refuse_write)
            self._watch(ctx, cycle)
            await ctx.tick()
            if len(self.result.done) == len(self.cases):
                assert ctx.get(self.dut.idle) and not ctx.get(self.dut.activations.valid)
                return
        raise AssertionError(f"{len(self.result.done)} of {len(self.cases)} are done")

    def _start(self) -> None:
        self.result = UnitRun()
        self.waiting = list(self.cases)

    @abstractmethod
    def _memories(self, ctx: Any) -> None:
        """Answer the reads of READ_LATENCY cycles ago, take note of those of now."""

    def _may_start(self, case: Any) -> bool:
        return True

    def _offer(self, ctx: Any) -> None:
        """Hold the next instruction at the unit's stream."""
        stream = self.dut.i
        may = bool(self.waiting) and self._may_start(self.waiting[0])
        ctx.set(stream.valid, may)
        if may:
            case = self.waiting[0]
            ctx.set(stream.payload.operands, case.operands)
            ctx.set(stream.payload.number, case.number)
            ctx.set(stream.payload.signal, case.signal)

    def _watch(self, ctx: Any, cycle: int) -> None:
        """Note what happens in this cycle, now that all inputs are set."""
        dut, result = self.dut, self.result
        if ctx.get(dut.activations.valid) and ctx.get(dut.activations.ready):
            result.writes.append((cycle, self._granules(ctx)))
        if ctx.get(dut.done.valid):
            result.done.append((cycle, ctx.get(dut.done.signal), ctx.get(dut.done.number)))
            self._completed(ctx, self.cases[len(result.done) - 1])
        result.stalls.update({name: ctx.get(getattr(dut, name)) for name in self.STALLS})
        assert ctx.get(dut.busy) == (not ctx.get(dut.idle))
        if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
            self.waiting.pop(0)
            result.taken.append(cycle)

    def _granules(self, ctx: Any) -> Granules:
        """Raw codes that the beat at the activations' port writes, of both tokens or of one."""
        beat, bits, depth = self.dut.activations.p, self.config.act_bits, self.config.depth_lanes
        raw, enable, pair = ctx.get(beat.codes.as_value()), ctx.get(beat.enable), ctx.get(beat.pair)
        codes = [raw >> bits * i & ((1 << bits) - 1) for i in range(2 * self.config.row_lanes)]
        granules = self.config.granules
        first, mask, number = (
            ctx.get(beat.word) * granules,
            ctx.get(beat.mask),
            ctx.get(beat.number),
        )
        return {
            (2 * pair + token, first + i): (codes[(token * granules + i) * depth :][:depth], number)
            for token in range(2)
            for i in range(granules)
            if enable >> token & 1 and mask >> i & 1
        }

    def _completed(self, ctx: Any, case: Any) -> None:
        """Called in the cycle of a completion; by default nothing more is noted."""
        return


def pack(values: Any, bits: int) -> int:
    """Values as one integer, the first in the lowest bits."""
    return sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(values))


def whole_tile(config: EngineConfig) -> dict[str, int]:
    """Operands for all lanes."""
    return {"lane_first": 0, "lane_count": config.token_lanes}


def every_span(config: EngineConfig) -> list[dict[str, int]]:
    """Operands for every choice of neighbouring lanes."""
    lanes = range(config.token_lanes)
    return [
        {"lane_first": first, "lane_count": last - first + 1}
        for first in lanes
        for last in lanes[first:]
    ]


def check_done(cases: list, result: UnitRun) -> None:
    """Instructions are completed in order, each with its signal and number."""
    assert [x[1:] for x in result.done] == [(case.signal, case.number) for case in cases]
