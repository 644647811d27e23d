"""Bench of the softmax unit: raw scores, random stalls, results compared with golden's."""

import random
from dataclasses import dataclass

import numpy as np
from amaranth.lib import wiring

from rtl.config import EngineConfig
from rtl.memory.ports import READ_LATENCY
from rtl.model import numerics
from rtl.vector.softmax import SoftmaxUnit
from sim.golden import ops
from tests.rtl.unit_bench import UnitBench, UnitRun, check_done, pack


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
        """Weights by (lane, granule), and scales by lane."""
        o, depth = self.operands, config.depth_lanes
        weights = np.zeros_like(self.scores)
        weights[:, : o["keys"]] = ops.softmax_weights(
            self.valid, o["multiplier"], o["shift"], config.act_bits
        )
        scales = ops.context_scale(weights.sum(axis=1), o["context_multiplier"], o["context_shift"])
        first = o["destination_address"] * config.granules
        granules = {
            (lane, first + i): weights[lane, i * depth : (i + 1) * depth].tolist()
            for lane in self.lanes
            for i in range(o["key_words"] * config.granules)
        }
        return granules, {lane: (int(scales[0][lane]), int(scales[1][lane])) for lane in self.lanes}


def make_case(config: EngineConfig, rng: random.Random, number: int, **fixed) -> SoftmaxCase:
    """Make a random instruction, ``fixed`` operands as given; addresses differ by number."""
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
        "slot": number % config.score_slots,
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


class Bench(UnitBench):
    """Drives a SoftmaxUnit through ``cases``, with a memory of their scores.

    The maxima of a slot change only when no instruction of the slot is under way, so an
    instruction waits for the one before the last: that is what the compiler arranges too.
    """

    UNIT: type[wiring.Component] = SoftmaxUnit

    def __init__(self, config: EngineConfig, cases: list[SoftmaxCase], **options):
        super().__init__(self.UNIT(config), config, cases, **options)
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

    def _start(self):
        super()._start()
        self.pipe = [self.garbage] * READ_LATENCY

    def _memories(self, ctx):
        port = self.dut.scores
        ctx.set(port.data.as_value(), self.pipe.pop(0))
        scores = self.garbage
        if ctx.get(port.enable):
            scores = self.memory[ctx.get(port.request.bank), ctx.get(port.request.word)]
        self.pipe.append(scores)

    def _may_start(self, case):
        return len(self.result.taken) - len(self.result.done) < self.config.score_slots

    def _offer(self, ctx):
        super()._offer(ctx)
        if ctx.get(self.dut.i.valid):
            case = self.waiting[0]
            for lane in range(self.config.token_lanes):
                ctx.set(self.dut.maxima[case.operands["slot"]][lane], int(case.valid[lane].max()))

    def _completed(self, ctx, case):
        slot = self.dut.scales[case.operands["slot"]]
        self.result.scales.append(
            {
                lane: (ctx.get(slot[lane].multiplier), ctx.get(slot[lane].shift))
                for lane in case.lanes
            }
        )


def check(config: EngineConfig, cases: list[SoftmaxCase], result: UnitRun) -> None:
    """Every weight and scale equal to golden's, each written once, instructions done in order."""
    check_done(cases, result)
    for case, scales in zip(cases, result.scales, strict=True):
        assert (result.granules(case.number), scales) == case.expected(config)
