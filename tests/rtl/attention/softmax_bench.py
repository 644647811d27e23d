"""Raw scores around SoftmaxUnit, random stalls, and what golden says about weights and scales."""

import random
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import ResetInserter, Signal

from rtl import numerics
from rtl.attention.softmax import SoftmaxUnit
from rtl.config import EngineConfig
from rtl.memory.ports import READ_LATENCY
from sim.golden import ops
from tests.rtl.rigid import simulate


def pack(values, bits):
    """Values as one integer, the first in the lowest bits."""
    return sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(values))


@dataclass
class SoftmaxCase:
    """One instruction and its scores."""

    operands: dict
    scores: np.ndarray  # (token_lanes, key_words * row_lanes), those of padded keys are garbage
    number: int
    signal: int = 0

    @property
    def lanes(self) -> range:
        first = self.operands["lane_first"]
        return range(first, first + self.operands["lane_count"])

    @property
    def valid(self) -> np.ndarray:
        return self.scores[:, : self.operands["keys"]]

    def expected(self, config: EngineConfig) -> tuple[dict, dict]:
        """Weights by (lane, word), and scales by lane."""
        o, rows = self.operands, config.row_lanes
        weights = np.zeros_like(self.scores)
        weights[:, : o["keys"]] = ops.softmax_weights(
            self.valid, o["multiplier"], o["shift"], config.act_bits
        )
        scales = ops.context_scale(weights.sum(axis=1), o["context_multiplier"], o["context_shift"])
        words = {
            (lane, o["destination_address"] + w): weights[lane, w * rows : (w + 1) * rows].tolist()
            for lane in self.lanes
            for w in range(o["key_words"])
        }
        return words, {lane: (int(scales[0][lane]), int(scales[1][lane])) for lane in self.lanes}


def make_case(config: EngineConfig, rng: random.Random, number: int, **fixed) -> SoftmaxCase:
    """A random instruction; ``fixed`` operands as given. Each number has its own addresses."""
    rows = config.row_lanes
    key_words = fixed.get("key_words", rng.randint(1, 5))
    first = rng.randrange(config.token_lanes)
    top = (1 << (numerics.SCORE_BITS - 1)) - 1
    spread = rng.choice([0, 50, 5000, top])
    octaves = max(1, spread) * 160  # multiplier and shift such that the spread is some octaves
    o = {
        "source_address": 1000 * number + rng.randrange(64),
        "source_stride": rng.randint(key_words, key_words + 5),
        "key_words": key_words,
        "keys": key_words * rows - rng.choice([0, rng.randrange(rows)]),
        "lane_first": first,
        "lane_count": rng.randint(1, config.token_lanes - first),
        "destination_address": rng.randrange(256),
        "slot": number % 2,
        "multiplier": rng.randint(1 << 16, (1 << 17) - 1),
        "shift": rng.choice([octaves.bit_length() + 8, rng.randrange(48)]),
        "context_multiplier": rng.randint(1 << 15, (1 << 16) - 1),
        "context_shift": rng.randrange(29),
    } | fixed
    generator = np.random.default_rng(rng.getrandbits(32))
    center = rng.randint(-top // 2, top // 2)
    shape = (config.token_lanes, key_words * rows)
    scores = np.clip((center + generator.normal(0, spread / 2, shape)).round(), -top - 1, top)
    scores[:, o["keys"] :] = generator.integers(-top - 1, top, scores[:, o["keys"] :].shape)
    return SoftmaxCase(o, scores.astype(np.int64), number, rng.getrandbits(5))


@dataclass
class SoftmaxRun:
    """What one run of the unit gave."""

    taken: list = field(default_factory=list)  # cycle in which each instruction was taken
    done: list = field(default_factory=list)  # cycle, signal, number
    writes: list = field(default_factory=list)  # cycle, (lane, word), codes, number
    scales: list = field(default_factory=list)  # of each instruction, when it is done
    stalls: int = 0


class Bench:
    """Drives a SoftmaxUnit through ``cases``; writes may be refused.

    The maxima of a slot change only when no instruction of the slot is under way, so an
    instruction waits for the one before the last: that is what the compiler arranges too.

    Parameters
    ----------
    refuse_write : float
        Probability of a refusal, per cycle.
    reset_at : int
        Cycle in which the unit is reset; then all cases start over.
    """

    def __init__(self, config, cases, *, refuse_write=0.0, reset_at=None):
        self.config = config
        self.cases = cases
        self.refuse_write = refuse_write
        self.reset_at = reset_at
        self.rng = random.Random(11)
        self.dut = SoftmaxUnit(config)
        rows = config.row_lanes
        self.garbage = self.rng.getrandbits(numerics.SCORE_BITS * rows)
        self.memory = {}
        for case in cases:
            o = case.operands
            for lane in range(config.token_lanes):
                for w in range(o["key_words"]):
                    word = o["source_address"] + lane // 4 * o["source_stride"] + w
                    scores = case.scores[lane, w * rows : (w + 1) * rows]
                    self.memory[lane % 4, word] = pack(scores, numerics.SCORE_BITS)

    def run(self, cycles: int = 8000) -> SoftmaxRun:
        """Run until all cases are done; at most ``cycles``."""
        self.reset = Signal()
        self.cycles = cycles
        simulate(ResetInserter(self.reset)(self.dut), self._bench)
        return self.result

    async def _bench(self, ctx):
        dut = self.dut
        self._start()
        for cycle in range(self.cycles):
            ctx.set(self.reset, cycle == self.reset_at)
            if cycle == self.reset_at:
                await ctx.tick()
                self._start()
                continue
            self._drive(ctx)
            if ctx.get(dut.activations.valid) and ctx.get(dut.activations.ready):
                self.result.writes.append((cycle, *self._write(ctx)))
            if ctx.get(dut.done.valid):
                self._complete(ctx, cycle)
            self.result.stalls += ctx.get(dut.stall_write)
            assert ctx.get(dut.busy) == (not ctx.get(dut.idle))
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                self.waiting.pop(0)
                self.result.taken.append(cycle)
            await ctx.tick()
            if len(self.result.done) == len(self.cases):
                assert ctx.get(dut.idle) and not ctx.get(dut.activations.valid)
                return
        raise AssertionError(f"{len(self.result.done)} of {len(self.cases)} are done")

    def _start(self):
        self.result = SoftmaxRun()
        self.waiting = list(self.cases)
        self.pipe = [self.garbage] * READ_LATENCY

    def _drive(self, ctx):
        dut, result = self.dut, self.result
        ctx.set(dut.scores.data.as_value(), self.pipe.pop(0))
        ctx.set(dut.activations.ready, self.rng.random() >= self.refuse_write)
        may = bool(self.waiting) and len(result.taken) - len(result.done) < 2
        ctx.set(dut.i.valid, may)
        if may:
            case = self.waiting[0]
            ctx.set(dut.i.payload.operands, case.operands)
            ctx.set(dut.i.payload.number, case.number)
            ctx.set(dut.i.payload.signal, case.signal)
            for lane in range(self.config.token_lanes):
                ctx.set(dut.maxima[case.operands["slot"]][lane], int(case.valid[lane].max()))
        scores = self.garbage
        if ctx.get(dut.scores.enable):
            request = dut.scores.request
            scores = self.memory[ctx.get(request.bank), ctx.get(request.word)]
        self.pipe.append(scores)

    def _write(self, ctx):
        payload, bits, rows = self.dut.activations.p, self.config.act_bits, self.config.row_lanes
        assert ctx.get(payload.mask) == (1 << self.config.granules) - 1
        enable, raw = ctx.get(payload.enable), ctx.get(payload.codes.as_value())
        assert enable in (1, 2)
        token = enable - 1
        codes = [raw >> bits * (token * rows + i) & ((1 << bits) - 1) for i in range(rows)]
        place = 2 * ctx.get(payload.pair) + token, ctx.get(payload.word)
        return place, codes, ctx.get(payload.number)

    def _complete(self, ctx, cycle):
        done = self.dut.done
        self.result.done.append((cycle, ctx.get(done.signal), ctx.get(done.number)))
        case = self.cases[len(self.result.done) - 1]
        slot = self.dut.scales[case.operands["slot"]]
        scales = {
            lane: (ctx.get(slot[lane].multiplier), ctx.get(slot[lane].shift)) for lane in case.lanes
        }
        self.result.scales.append(scales)


def check(config: EngineConfig, cases: list[SoftmaxCase], result: SoftmaxRun) -> None:
    """Every weight and scale equal to golden's, each written once, instructions done in order."""
    assert [x[1:] for x in result.done] == [(case.signal, case.number) for case in cases]
    for case, got in zip(cases, result.scales, strict=True):
        words, scales = case.expected(config)
        written = [(place, codes) for _, place, codes, n in result.writes if n == case.number]
        assert dict(written) == words
        assert len(written) == len(words)
        assert got == scales
