"""What an image makes the engine do, against the simulation and against sums by hand."""

from dataclasses import replace

import pytest

from rtl.compiler import lower, plan
from rtl.compiler.operations import Operation, Program, Subject
from rtl.config import TINY, ZCU102
from rtl.isa.instructions import Activations, Destination, Opcode, Target, Weights
from rtl.model.keep import with_keep
from rtl.model.shape import plain_vit
from rtl.timing import predict
from rtl.timing.bound import array_work, least_array_cycles
from rtl.timing.traffic import Work, scratchpad_bits, work_of

DIGITS = plain_vit(
    image=(28, 28, 1), patch=7, width=64, heads=4, head_dim=16, depth=2, classes=10,
    row_granularity=16, bits8=0.25,
)  # fmt: skip
DEIT_TINY = plain_vit(width=192, heads=3, row_granularity=32, bits8=0.25)
MEAN = replace(DIGITS, mean_pool=True)
KEPT, SELECTING = with_keep(DIGITS, {0: 9}), replace(TINY, select_tokens=256)


@pytest.mark.parametrize("shape, engine", [(DIGITS, TINY), (MEAN, TINY), (DEIT_TINY, ZCU102)])
def test_bytes_are_those_of_the_prediction(shape, engine):
    assert work_of(lower(plan(shape, engine))).bytes == predict(shape, engine).bytes


@pytest.mark.parametrize("shape, engine", [(DIGITS, TINY), (MEAN, TINY), (KEPT, SELECTING)])
def test_the_array_multiplies_as_the_bound_says(shape, engine):
    work = work_of(lower(plan(shape, engine)))
    assert work.array_cycles == least_array_cycles(plan(shape, engine))
    assert work.products == 4 * 16 * 8 * work.array_cycles > work.macs == array_work(shape)


def test_only_tokens_that_stay_are_written():
    """Of 17 tokens seven go: the drain does not write their 64 channels of 16 bits."""
    program = lower(plan(KEPT, SELECTING))
    every = sum(scratchpad_bits(op, SELECTING)[1] for op in program.operations) // 8
    assert every - work_of(program).scratchpad_written_bytes == 7 * 64 * 2
    program = lower(plan(DIGITS, TINY))
    every = sum(scratchpad_bits(op, TINY)[1] for op in program.operations) // 8
    assert every == work_of(program).scratchpad_written_bytes


def test_memory_traffic_has_a_kind_of_layer():
    read = work_of(lower(plan(DIGITS, TINY))).read_bytes
    assert read.keys() == {"embed", "qkv", "proj", "fc1", "fc2", "head", "program"}
    # 10 classes in one row tile with 8-bit weights; 16 records of 8 bytes; 64 exponents of 2 bits.
    assert read["head"] == 64 * 16 + 16 * 8 + 16 * 4
    assert "pool" in work_of(lower(plan(MEAN, TINY))).read_bytes


def work_of_one(opcode: Opcode, **operands: int) -> Work:
    operation = Operation(opcode, operands, [], [], Subject("head", "", "head"))
    return work_of(Program(plan(DIGITS, TINY), [operation], [0], [0], [], 0))


MATMUL = {"depth_words": 3, "row_tiles": 2, "bits8": 0b10, "lane_count": 4}


@pytest.mark.parametrize(
    "opcode, operands, reads, writes",
    [
        (Opcode.LOAD, {"target": Target.WEIGHTS, "bytes": 320}, 0, 320),
        (Opcode.STORE, {"row_words": 3, "offset": 0}, 3 * 16 * 2, 0),
        (Opcode.STORE, {"row_words": 3, "more_words": 6, "int16": 1, "offset": 0}, 9 * 16 * 2, 0),
        (Opcode.NORM, {"row_words": 5, "lane_count": 3}, 2 * 15 * 32, 15 * 12),
        (Opcode.SOFTMAX, {"key_words": 5, "lane_count": 3}, 15 * 44, 15 * 12),
        (
            # 9 cycles of 8 terms: 4 codes of 6 bits, 16 nibbles; 2 words of 16 records.
            Opcode.MATMUL,
            {"weights": Weights.RING, "destination": Destination.RESIDUAL, "accumulate": 1},
            9 * (4 * 6 + 16 * 4) + 2 * 128 + 2 * 4 * 32,
            2 * 4 * 32,
        ),
        (
            # 12 cycles: every row tile in two passes.
            Opcode.MATMUL,
            {"weights": Weights.KEYS, "destination": Destination.SCORES},
            12 * (4 * 6 + 16 * 8) + 2 * 128,
            2 * 4 * 44,
        ),
        (
            # 18 cycles: pixels in two slices.
            Opcode.MATMUL,
            {
                "weights": Weights.RING,
                "activations": Activations.PIXELS,
                "destination": Destination.ACTIVATIONS,
                "mask_count": 3,
            },
            18 * (4 * 8 + 16 * 4) + 2 * 128,
            3 * 4 * 6,
        ),
    ],
)
def test_scratchpads_by_hand(opcode, operands, reads, writes):
    work = work_of_one(opcode, **(MATMUL if opcode is Opcode.MATMUL else {}) | operands)
    assert (work.scratchpad_read_bytes, work.scratchpad_written_bytes) == (reads, writes)
