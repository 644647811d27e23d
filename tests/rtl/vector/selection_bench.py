"""Bench of the selection of tokens: the softmax unit with its memories, against golden."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.isa.instructions import HEADER, Instruction, Opcode
from rtl.isa.scratchpads import NOWHERE, places_of
from rtl.lib.streams import connect
from rtl.memory.ports import IMPORTANCE_LANES, WritePort, importance_write, place_write
from rtl.memory.scratchpads.selection import ImportanceMemory, PlaceMemory
from rtl.vector.softmax import SoftmaxUnit
from sim.golden import ops
from tests.rtl.vector.softmax_bench import Bench, SoftmaxCase, make_case

HEADER_BITS = sum(field.bits for field in HEADER)
MEMORY_PORTS = ("importance_read", "importance_write", "place_write")


class SelectingUnit(wiring.Component):
    """The softmax unit and its memories.

    Members
    -------
    Those of the unit but the memories' ports.
    sums, places : Out
        What was written.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        self.unit = SoftmaxUnit(config)
        members = dict(self.unit.signature.members)
        for name in MEMORY_PORTS:
            del members[name]
        taps = {"sums": Out(WritePort(importance_write())), "places": Out(WritePort(place_write()))}
        super().__init__(members | taps)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        m.submodules.importance = importance = ImportanceMemory(self.config, tap=True)
        m.submodules.place = place = PlaceMemory(self.config, tap=True)
        for name, member in unit.signature.members.items():
            if name in MEMORY_PORTS:
                continue
            inner, outer = getattr(unit, name), getattr(self, name)
            if member.is_signature:
                wiring.connect(m, inner, wiring.flipped(outer))
            elif member.flow is wiring.In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        connect(m, producer=unit.importance_read, consumer=importance.read)
        connect(m, producer=unit.importance_write, consumer=importance.write)
        connect(m, producer=unit.place_write, consumer=place.write)
        connect(m, producer=importance.tap.softmax, consumer=wiring.flipped(self.sums))
        connect(m, producer=place.tap.softmax, consumer=wiring.flipped(self.places))
        return m


@dataclass
class SelectCase:
    """One SELECT."""

    operands: dict
    number: int
    signal: int = 0


@dataclass
class Selected:
    """Writes to importance and places, and their cycles."""

    sums: list[tuple] = field(default_factory=list)  # cycle, number, word, four scores
    places: list[tuple] = field(default_factory=list)  # cycle, number, word, place, first
    selecting: list[int] = field(default_factory=list)  # cycles


def important_case(
    config: EngineConfig, rng: random.Random, number: int, first: bool, **fixed: int
) -> SoftmaxCase:
    """A random SOFTMAX whose last lane is the class token."""
    return make_case(config, rng, number, importance=1, importance_first=int(first), **fixed)


def select_case(number: int, patches: int, keep: int, others: int, stride: int = 6) -> SelectCase:
    """A SELECT by its operands."""
    operands = {"patches": patches, "keep": keep, "others": others, "stride": stride}
    return SelectCase(operands, number, number % 32)


def importance_of(config: EngineConfig, case: SoftmaxCase) -> np.ndarray:
    """Return the terms that golden adds to the importance of each key."""
    o = case.operands
    scores = case.valid[case.lanes[-1]]
    e = ops.softmax_weights(scores, o["multiplier"], o["shift"], config.act_bits)
    return ops.importance_terms(scores, o["multiplier"], o["shift"], config.act_bits, e.sum())


class SelectionBench(Bench):
    """Drives a :class:`SelectingUnit` through SOFTMAXes and SELECTs; ``selected`` is the record."""

    UNIT = SelectingUnit

    def __init__(self, config: EngineConfig, cases: list, **options: Any):
        softmax = [case for case in cases if isinstance(case, SoftmaxCase)]
        super().__init__(config, softmax, **options)
        self.cases = cases

    async def _bench(self, ctx: Any) -> None:
        await super()._bench(ctx)
        active = self.last + 150  # a row may still be added up
        for cycle in range(self.last + 1, self.cycles):
            self._watch(ctx, cycle)
            active = max(active, cycle + 4) if ctx.get(self.dut.selecting) else active
            await ctx.tick()
            if cycle == active:
                return
        raise AssertionError("the selection does not end")

    def _start(self) -> None:
        super()._start()
        self.selected = Selected()

    def _offer(self, ctx: Any) -> None:
        stream = self.dut.i
        may = bool(self.waiting) and self._may_start(self.waiting[0])
        ctx.set(stream.valid, may)
        if not may:
            return
        case = self.waiting[0]
        select = isinstance(case, SelectCase)
        opcode = Opcode.SELECT if select else Opcode.SOFTMAX
        word = int.from_bytes(Instruction(opcode, case.operands).encode(), "little") >> HEADER_BITS
        bits = stream.p.operands.as_value()
        ctx.set(bits, word & ((1 << len(bits)) - 1))
        ctx.set(stream.p.select, select)
        ctx.set(stream.p.number, case.number)
        ctx.set(stream.p.signal, case.signal)
        if not select:
            for lane in range(self.config.token_lanes):
                ctx.set(self.dut.maxima[case.operands["slot"]][lane], int(case.valid[lane].max()))

    def _completed(self, ctx: Any, case: Any) -> None:
        if isinstance(case, SoftmaxCase):
            super()._completed(ctx, case)

    def _watch(self, ctx: Any, cycle: int) -> None:
        if len(self.result.done) < len(self.cases):
            super()._watch(ctx, cycle)
        self.last = cycle
        dut, seen = self.dut, self.selected
        if ctx.get(dut.sums.valid):
            beat = ctx.get(dut.sums.beat)
            seen.sums.append((cycle, beat.number, beat.word, list(beat.scores)))
        if ctx.get(dut.places.valid):
            beat = ctx.get(dut.places.beat)
            seen.places.append((cycle, beat.number, beat.word, beat.place, beat.first))
        if ctx.get(dut.selecting):
            seen.selecting.append(cycle)


def check_selection(config: EngineConfig, cases: list, bench: SelectionBench) -> None:
    """Importance and places of every instruction are golden's, each written once, in order."""
    result, selected = bench.result, bench.selected
    assert [x[1:] for x in result.done] == [(case.signal, case.number) for case in cases]
    scales = iter(result.scales)
    importance = np.zeros(config.select_tokens, np.int64)
    for case in cases:
        if isinstance(case, SoftmaxCase):
            assert (result.granules(case.number), next(scales)) == case.expected(config)
            sums = [entry[2:] for entry in selected.sums if entry[1] == case.number]
            if not case.operands.get("importance"):
                assert not sums
                continue
            terms = importance_of(config, case)[: config.select_tokens]
            if case.operands["importance_first"]:
                importance[:] = 0
            importance[: len(terms)] += terms
            assert [word for word, _ in sums] == list(range(-(-len(terms) // IMPORTANCE_LANES)))
            found = np.concatenate([scores for _, scores in sums])[: len(terms)]
            np.testing.assert_array_equal(found, importance[: len(terms)])
        else:
            check_places(case, importance, [p for p in selected.places if p[1] == case.number])


def check_places(case: SelectCase, importance: np.ndarray, written: list[tuple]) -> None:
    """The places of one SELECT."""
    o = case.operands
    patches, tokens = o["patches"], o["patches"] + o["others"]
    kept = [*ops.select(importance[:patches], o["keep"]), *range(patches, tokens)]
    places = places_of(np.array(kept), tokens + tokens % 2)
    assert [word for _, _, word, _, _ in written] == list(range(len(places) // 2))
    cycles = [cycle for cycle, *_ in written]
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))
    below = 0
    for _, _, word, place, first in written:
        pair = places[2 * word : 2 * word + 2]
        assert place.kept == sum(1 << i for i, p in enumerate(pair) if p != NOWHERE)
        assert first == below and place.index == below % 4
        assert place.down == o["stride"] * (word // 2 - below // 4)
        below += int((pair != NOWHERE).sum())
