"""Bench of the norm unit: a residual stream, random stalls, codes compared with golden's."""

import random
from dataclasses import dataclass

import numpy as np

from rtl.config import EngineConfig
from rtl.memory.ports import READ_LATENCY
from rtl.model import numerics
from rtl.vector.layernorm import NormUnit
from sim.golden import ops
from tests.rtl.unit_bench import UnitBench, UnitRun, check_done, pack


@dataclass
class NormCase:
    """One instruction and the tokens that it is for."""

    operands: dict
    residual: np.ndarray  # (token_lanes, row_words * row_lanes), of the tile's tokens
    exponent: np.ndarray  # (row_words * row_lanes,)
    number: int
    signal: int = 0

    def expected(self, config: EngineConfig) -> dict:
        """Codes by (lane, granule), of the channels that are not padding."""
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
        depth, first = config.depth_lanes, o["destination_address"] * config.granules
        lanes = range(o["lane_first"], o["lane_first"] + o["lane_count"])
        return {
            (lane, first + i): codes[lane, i * depth : (i + 1) * depth].tolist()
            for lane in lanes
            for i in range(o["row_words"] * config.granules)
        }


def make_case(config: EngineConfig, rng: random.Random, number: int, **fixed) -> NormCase:
    """Make a random instruction, ``fixed`` operands as given; addresses differ by number."""
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
                pair = case.residual[lane : lane + 2, channels].ravel()
                residual[place // 2, word] = pack(pair, 16)
    return residual, exponents


class Bench(UnitBench):
    """Drives a NormUnit through ``cases``, with memories that may refuse reads too.

    Parameters
    ----------
    refuse_read : float
        Probability of a refusal, per cycle.
    """

    STALLS = ("stall_read", "stall_write")

    def __init__(
        self, config: EngineConfig, cases: list[NormCase], *, refuse_read: float = 0.0, **options
    ):
        super().__init__(NormUnit(config), config, cases, **options)
        self.by_number = {case.number: case for case in cases}
        self.refuse_read = refuse_read
        self.residual, self.exponents = memories(config, cases)
        self.garbage = self.rng.getrandbits(32 * config.row_lanes)

    def _start(self):
        super()._start()
        self.pipes = [[self.garbage] * READ_LATENCY for _ in range(2)]

    def _memories(self, ctx):
        dut, request = self.dut, self.dut.residual.request
        ctx.set(dut.residual.data.as_value(), self.pipes[0].pop(0))
        mask = (1 << 2 * self.config.row_lanes) - 1
        ctx.set(dut.exponents.data.as_value(), self.pipes[1].pop(0) & mask)
        ctx.set(request.ready, self.rng.random() >= self.refuse_read)
        residual, exponents = self.garbage, self.garbage
        if ctx.get(request.valid) and ctx.get(request.ready):
            residual = self.residual[ctx.get(request.p.half), ctx.get(request.p.word)]
        if ctx.get(dut.exponents.enable):
            exponents = self.exponents[ctx.get(dut.exponents.request)]
        self.pipes[0].append(residual)
        self.pipes[1].append(exponents)

    def _granules(self, ctx):
        """Codes of the instruction's channels, without padding."""
        config, granules = self.config, {}
        bits, depth = config.act_bits, config.depth_lanes
        for (lane, granule), (codes, number) in super()._granules(ctx).items():
            o = self.by_number[number].operands
            before = depth * (granule - o["destination_address"] * config.granules)
            codes = codes[: max(0, o["width"] - before)]
            if o["signed"]:
                codes = [code - (code >> (bits - 1) << bits) for code in codes]
            granules[lane, granule] = codes, number
        return granules


def check(config: EngineConfig, cases: list[NormCase], result: UnitRun) -> None:
    """Every code equal to golden's, each written once, instructions completed in order."""
    check_done(cases, result)
    for case in cases:
        assert result.granules(case.number) == case.expected(config)
