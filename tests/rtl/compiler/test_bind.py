"""Constants of the model in the operands of instructions."""

import pytest

from rtl.compiler import lower, plan_model
from rtl.compiler.bind import bind
from rtl.config import TINY
from rtl.isa.instructions import Opcode
from sim.random_model import random_model

MODEL = random_model(patch=14, width=32, head_dim=16, blocks=((2, 64),) * 2, classes=5)
PROGRAM = lower(plan_model(MODEL, TINY))
BOUND = bind(PROGRAM, MODEL)


def bound(tensor, head=-1):
    for operation in BOUND.operations:
        if (operation.subject.tensor, operation.subject.head) == (tensor, head):
            return operation.operands
    raise AssertionError(tensor)


def test_the_program_before_is_left_as_it_was():
    assert BOUND is not PROGRAM and len(BOUND.operations) == len(PROGRAM.operations)
    assert PROGRAM.code == lower(plan_model(MODEL, TINY)).code != BOUND.code
    assert (BOUND.waits, BOUND.signals) == (PROGRAM.waits, PROGRAM.signals)


@pytest.mark.parametrize("name", ["norm1", "norm2"])
def test_scales_and_zero_point_of_a_norm(name):
    norm = getattr(MODEL.blocks[1], name)
    found = bound(f"blocks.1.{name}")
    expected = (norm.epsilon, norm.gain, norm.shift, norm.zero, norm.signed)
    assert tuple(found[x] for x in ("epsilon", "gain", "shift", "zero", "signed")) == expected


def test_scales_of_a_head():
    block, found = MODEL.blocks[0], bound("blocks.0.attention", head=1)
    assert (found["multiplier"], found["shift"]) == (
        block.softmax.multiplier[1],
        block.softmax.shift[1],
    )
    assert (found["context_multiplier"], found["context_shift"]) == (
        block.context.multiplier[1],
        block.context.shift[1],
    )


def test_shifts_of_the_residual_stream():
    assert bound("embed")["residual_shift"] == MODEL.embed.residual_shift
    assert bound("blocks.1.output")["residual_shift"] == MODEL.blocks[1].fc2.residual_shift


def test_signs_of_input_codes():
    assert bound("embed")["act_signed"] == 0
    assert bound("blocks.0.attended")["act_signed"] == 1
    assert bound("blocks.0.q")["act_signed"] == MODEL.blocks[0].norm1.signed
    assert bound("blocks.0.hidden")["act_signed"] == MODEL.blocks[0].norm2.signed
    assert bound("blocks.0.output")["act_signed"] == MODEL.blocks[0].hidden_signed
    assert bound("logits")["act_signed"] == MODEL.classifier.norm.signed


def test_only_norm_softmax_and_matmul_change():
    for before, after in zip(PROGRAM.operations, BOUND.operations, strict=True):
        if before.opcode not in (Opcode.NORM, Opcode.SOFTMAX, Opcode.MATMUL):
            assert before == after
