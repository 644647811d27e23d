"""A residual stream around NormUnit, random stalls, and what golden says about the codes."""

import random
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import ResetInserter, Signal

from rtl import numerics
from rtl.config import EngineConfig
from rtl.memory.ports import READ_LATENCY
from rtl.vector.layernorm import NormUnit
from sim.golden import ops
from tests.rtl.rigid import simulate


def pack(values, bits):
    """Values as one integer, the first in the lowest bits."""
    flat = np.asarray(values, np.int64).ravel()
    return sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(flat))


@dataclass
class NormCase:
    """One instruction and the tokens that it is for."""

    operands: dict
    residual: np.ndarray  # (token_lanes, row_words * row_lanes), of the tile's tokens
    exponent: np.ndarray  # (row_words * row_lanes,)
    number: int
    signal: int = 0

    def expected(self, config: EngineConfig) -> dict:
        """Codes by (lane, word), of the channels that are not padding."""
        o = self.operands
        low, high = numerics.code_range(config.act_bits, bool(o["signed"]))
        codes = ops.layer_norm(
            self.residual[:, : o["width"]],
            epsilon=o["epsilon"],
            gain=o["gain"],
            shift=o["shift"],
            zero=o["zero"],
            exponent=self.exponent[: o["width"]],
            low=low,
            high=high,
        )
        rows = config.row_lanes
        lanes = range(o["lane_first"], o["lane_first"] + o["lane_count"])
        return {
            (lane, o["destination_address"] + w): (
                codes[lane, w * rows : (w + 1) * rows],
                self.number,
            )
            for lane in lanes
            for w in range(o["row_words"])
        }


def make_case(config: EngineConfig, rng: random.Random, number: int, **fixed) -> NormCase:
    """A random instruction; ``fixed`` operands as given. Each number has its own addresses."""
    rows, bits = config.row_lanes, config.act_bits
    row_words = fixed.get("row_words", rng.randint(1, 4))
    width = row_words * rows - rng.choice([0, 0, rng.randrange(rows)])
    first = rng.randrange(config.token_lanes)
    signed = rng.getrandbits(1)
    o = {
        "source_address": 1000 * number + rng.randrange(64),
        "source_stride": rng.randint(row_words, row_words + 5),
        "row_words": row_words,
        "token": config.token_lanes * rng.randrange(4),
        "lane_first": first,
        "lane_count": rng.randint(1, config.token_lanes - first),
        "destination_address": rng.randrange(256),
        "width": width,
        "epsilon": rng.choice([1, rng.getrandbits(10) + 1, (1 << 32) - 1]),
        "gain": rng.randint(1 << 15, (1 << 16) - 1),
        "shift": rng.choice([15 - bits, 14 - bits, rng.randrange(16)]),
        "zero": 0 if signed else rng.randrange(1 << bits),
        "signed": signed,
        "exponent_address": 100 * number + rng.randrange(32),
    } | fixed
    shape = (config.token_lanes, row_words * rows)
    scale = rng.choice([0, 3, 300, 32767])
    generator = np.random.default_rng(rng.getrandbits(32))
    spread = generator.normal(rng.uniform(-scale, scale), scale / 2, shape)
    residual = np.clip(spread.round(), -32768, 32767).astype(np.int64)
    residual[:, o["width"] :] = 0
    exponent = generator.integers(0, 4, row_words * rows)
    return NormCase(o, residual, exponent, number, rng.getrandbits(5))


def memories(config: EngineConfig, cases: list[NormCase]) -> tuple[dict, dict]:
    """Residual words by (half, word), and exponent words."""
    rows = config.row_lanes
    residual, exponents = {}, {}
    for case in cases:
        o = case.operands
        for column in range(o["row_words"]):
            channels = slice(column * rows, (column + 1) * rows)
            exponents[o["exponent_address"] + column] = pack(case.exponent[channels], 2)
            for lane in range(0, config.token_lanes, 2):
                group, place = divmod(o["token"] % 4 + lane, 4)
                word = o["source_address"] + group * o["source_stride"] + column
                residual[place // 2, word] = pack(case.residual[lane : lane + 2, channels], 16)
    return residual, exponents


@dataclass
class NormRun:
    """What one run of the unit gave."""

    taken: list = field(default_factory=list)  # cycle in which each instruction was taken
    done: list = field(default_factory=list)  # cycle, signal, number
    writes: list = field(default_factory=list)  # cycle, {(lane, word): (codes, number)}
    stalls: list = field(default_factory=lambda: [0, 0])  # read, write


class Bench:
    """Drives a NormUnit through ``cases``, with memories that may refuse.

    Parameters
    ----------
    refuse_read, refuse_write : float
        Probability of a refusal, per cycle.
    reset_at : int
        Cycle in which the unit is reset; then all cases start over.
    """

    def __init__(self, config, cases, *, refuse_read=0.0, refuse_write=0.0, reset_at=None):
        self.config = config
        self.cases = cases
        self.by_number = {case.number: case for case in cases}
        self.refuse_read = refuse_read
        self.refuse_write = refuse_write
        self.reset_at = reset_at
        self.rng = random.Random(11)
        self.dut = NormUnit(config)
        self.residual, self.exponents = memories(config, cases)
        self.garbage = self.rng.getrandbits(32 * config.row_lanes)

    def run(self, cycles: int = 8000) -> NormRun:
        """Run until all cases are done; at most ``cycles``."""
        self.reset = Signal()
        self.cycles = cycles
        simulate(ResetInserter(self.reset)(self.dut), self._bench)
        return self.result

    async def _bench(self, ctx):
        dut, reset = self.dut, self.reset
        self._start()
        for cycle in range(self.cycles):
            ctx.set(reset, cycle == self.reset_at)
            if cycle == self.reset_at:
                await ctx.tick()
                self._start()
                continue
            self._drive(ctx)
            self._reads(ctx)
            if ctx.get(dut.activations.valid) and ctx.get(dut.activations.ready):
                self.result.writes.append((cycle, self._write(ctx)))
            if ctx.get(dut.done.valid):
                done = (cycle, ctx.get(dut.done.signal), ctx.get(dut.done.number))
                self.result.done.append(done)
            self.result.stalls[0] += ctx.get(dut.stall_read)
            self.result.stalls[1] += ctx.get(dut.stall_write)
            assert ctx.get(dut.busy) == (not ctx.get(dut.idle))
            if self.waiting and ctx.get(dut.i.ready):
                self.waiting.pop(0)
                self.result.taken.append(cycle)
            await ctx.tick()
            if len(self.result.done) == len(self.cases):
                assert ctx.get(dut.idle) and not ctx.get(dut.activations.valid)
                return
        raise AssertionError(f"{len(self.result.done)} of {len(self.cases)} are done")

    def _start(self):
        self.result = NormRun()
        self.waiting = list(self.cases)
        self.pipes = [[self.garbage] * READ_LATENCY for _ in range(2)]

    def _drive(self, ctx):
        dut = self.dut
        ctx.set(dut.residual.data.as_value(), self.pipes[0].pop(0))
        mask = (1 << 2 * self.config.row_lanes) - 1
        ctx.set(dut.exponents.data.as_value(), self.pipes[1].pop(0) & mask)
        ctx.set(dut.residual.request.ready, self.rng.random() >= self.refuse_read)
        ctx.set(dut.activations.ready, self.rng.random() >= self.refuse_write)
        ctx.set(dut.i.valid, bool(self.waiting))
        if self.waiting:
            ctx.set(dut.i.payload.operands, self.waiting[0].operands)
            ctx.set(dut.i.payload.number, self.waiting[0].number)
            ctx.set(dut.i.payload.signal, self.waiting[0].signal)

    def _reads(self, ctx):
        request = self.dut.residual.request
        residual, exponents = self.garbage, self.garbage
        if ctx.get(request.valid) and ctx.get(request.ready):
            residual = self.residual[ctx.get(request.p.half), ctx.get(request.p.word)]
        if ctx.get(self.dut.exponents.enable):
            exponents = self.exponents[ctx.get(self.dut.exponents.request)]
        self.pipes[0].append(residual)
        self.pipes[1].append(exponents)

    def _write(self, ctx) -> dict:
        payload, bits, rows = self.dut.activations.p, self.config.act_bits, self.config.row_lanes
        assert ctx.get(payload.mask) == (1 << self.config.granules) - 1
        word, number = ctx.get(payload.word), ctx.get(payload.number)
        o = self.by_number[number].operands
        raw = ctx.get(payload.codes.as_value())
        channels = min(rows, o["width"] - rows * (word - o["destination_address"]))
        lanes = {}
        for token in range(2):
            codes = [raw >> bits * (token * rows + i) & ((1 << bits) - 1) for i in range(channels)]
            if o["signed"]:
                codes = [code - (code >> (bits - 1) << bits) for code in codes]
            if ctx.get(payload.enable) >> token & 1:
                lanes[2 * ctx.get(payload.pair) + token, word] = (codes, number)
        return lanes


def check(config: EngineConfig, cases: list[NormCase], result: NormRun) -> None:
    """Every code equal to golden's, each written once, instructions completed in order."""
    writes = [(place, *write) for _, beat in result.writes for place, write in beat.items()]
    assert [x[1:] for x in result.done] == [(case.signal, case.number) for case in cases]
    assert len(writes) == len({(place, number) for place, _, number in writes})
    for case in cases:
        expected = {place: list(codes) for place, (codes, _) in case.expected(config).items()}
        assert {place: c for place, c, number in writes if number == case.number} == expected
