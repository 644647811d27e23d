"""Compiled programs compute what golden computes, in every order that they allow.

Runs on the functional engine: lowering, memory image and synchronisation without RTL.
"""

from dataclasses import replace

import numpy as np
import pytest

from rtl.compiler import compare, compile_model
from rtl.config import TINY, ULX3S, ZCU102
from rtl.control.isa import Instruction, Opcode, Unit, UnitSet
from sim import golden
from sim.functional import FunctionalEngine, Registers
from sim.random_model import random_images, random_model
from tests.rtl.compiler.interleave import events

SMALL = {
    "image": (28, 28, 1), "patch": 14, "width": 32, "head_dim": 16, "blocks": ((2, 64),) * 2,
    "classes": 5,
}  # fmt: skip
WIDE32 = {"row_granularity": 32}

SHAPES = {
    "digits": (TINY, {}),
    "digits on ulx3s": (ULX3S, {"width": 32, "blocks": ((2, 64),) * 2}),
    "digits on zcu102": (ZCU102, WIDE32),
    "depth 1, colour, head_dim of 8, odd sizes": (
        TINY,
        {
            "image": (28, 28, 3), "patch": 14, "width": 40, "head_dim": 8, "blocks": ((1, 50),),
            "classes": 3,
        },
    ),
    "heads across row tiles, blocks of different sizes": (
        TINY,
        {
            "image": (96, 96, 3), "patch": 16, "width": 72, "head_dim": 24,
            "blocks": ((3, 100), (2, 60)), "classes": 37,
        },
    ),
    "padded heads": (TINY, SMALL | {"head_dim": 12, "blocks": ((3, 40), (1, 20), (2, 33))}),
    "padded heads, patch of 32": (
        ZCU102,
        WIDE32
        | {
            "image": (96, 96, 3), "patch": 32, "width": 72, "head_dim": 24,
            "blocks": ((3, 100), (2, 60)), "classes": 37,
        },
    ),
    "all rows 8-bit": (TINY, SMALL | {"wide_fraction": 1.0}),
    "coarse row tiles": (TINY, SMALL | {"row_granularity": 32, "wide_fraction": 0.5}),
    "codes of 4 bits": (replace(TINY, act_bits=4), SMALL | {"act_bits": 4}),
    "codes of 8 bits": (replace(TINY, act_bits=8), SMALL | {"act_bits": 8}),
    "class token in a tile of its own": (TINY, {"blocks": ((1, 16),), "width": 16}),
    "two patches in a row, many lanes": (
        ZCU102, WIDE32 | {"patch": 14, "width": 32, "blocks": ((1, 64),)},
    ),
    "ring smaller than a layer": (
        replace(TINY, weight_words=60, parameter_words=5, exponent_words=5),
        SMALL | {"blocks": ((2, 100),) * 2, "width": 48},
    ),
    "pixels of one chain at a time": (
        replace(TINY, pixel_words=100),
        {"image": (56, 56, 1), "patch": 8, "blocks": ((2, 32),), "width": 32},
    ),
    "hidden activations of one tile at a time": (
        replace(TINY, activation_words=36),
        {"image": (28, 28, 1), "patch": 7, "width": 32, "blocks": ((1, 200), (2, 64))},
    ),
    "one group of keys at a time": (
        replace(TINY, key_words=4, value_words=6),
        {"image": (28, 28, 1), "patch": 7, "width": 32, "head_dim": 32, "blocks": ((3, 32),) * 2},
    ),
    "scores of one tile": (replace(TINY, score_words=2), {"width": 32, "blocks": ((2, 32),) * 2}),
    "lanes of 2 x 4 x 4": (
        replace(TINY, token_lanes=2, row_lanes=4, depth_lanes=4, memory_bytes=8),
        {
            "image": (28, 28, 1), "patch": 14, "width": 12, "head_dim": 4, "blocks": ((2, 16),) * 2,
            "row_granularity": 4,
        },
    ),
    "lanes of 16 x 16 x 16": (
        replace(TINY, token_lanes=16, row_lanes=16, depth_lanes=16), {"blocks": ((2, 64),) * 2}
    ),
}  # fmt: skip


def compiled(name):
    engine, arguments = SHAPES[name]
    model = random_model(
        act_bits=engine.act_bits, **{k: v for k, v in arguments.items() if k != "act_bits"}
    )
    image = random_images(model.image, 1, seed=3)
    return model, compile_model(model, engine), image


def functional(program, image, seed=0):
    registers = Registers(program.region, image.tobytes(), program.memory.program_offset)
    return FunctionalEngine(program.program.sizes.engine, registers, seed)


@pytest.mark.parametrize("name", SHAPES)
def test_every_write_equals_golden(name):
    """In program order, and each tensor element where the symbols say that it is."""
    model, program, image = compiled(name)
    tensors = {}
    logits = golden.run(model, image, tensors=tensors)[0]
    tensors = {key: value[0] for key, value in tensors.items()}
    engine, symbols = functional(program, image), program.symbols()
    for number, instruction in enumerate(engine.program):
        engine.finish(instruction, engine.start(instruction))
        expected = symbols.expected_writes(number, tensors)
        pad = getattr(engine, expected.buffer, None) if expected else None
        if expected is None or pad is None or pad.ndim != 3:
            continue  # what LOAD writes of constants lies in other shapes
        if expected.buffer in ("parameters", "exponents"):
            continue
        words = pad[expected.banks, expected.words]
        assert not compare(expected, expected.banks, expected.words, words, expected.written)
    np.testing.assert_array_equal(engine.result()[: model.classes], logits)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(2))
def test_any_interleaving_gives_the_same_logits(name, seed):
    model, program, image = compiled(name)
    logits = golden.run(model, image)[0]
    np.testing.assert_array_equal(run_interleaved(program, image, seed)[: model.classes], logits)


def run_interleaved(program, image, seed, instructions=None):
    """Execute in a random order; what a unit does, it does early or late, at random."""
    engine = functional(program, image, seed)
    instructions = instructions or engine.program
    rng = np.random.default_rng(seed)
    sums, late = {}, {}
    for what, number in events(instructions, engine.config.queue_depth, rng):
        instruction = instructions[number]
        matmul = instruction.opcode is Opcode.MATMUL
        if what == "start":
            late[number] = rng.random() < 0.5
            if not late[number]:
                sums[number] = engine.start(instruction)
                if not matmul:
                    engine.finish(instruction, None)
        elif late[number]:
            engine.finish(instruction, engine.start(instruction))
        elif matmul:
            engine.finish(instruction, sums.pop(number))
    return engine.result()


def test_a_missing_mark_is_noticed():
    """The interleavings do find hazards: without its marks the program fails."""
    _, program, image = compiled("digits")
    naked = [
        Instruction(i.opcode, i.operands, UnitSet.NONE, UnitSet.NONE)
        for i in functional(program, image).program
    ]
    right = run_interleaved(program, image, 0)
    assert (functional(program, image).run() == right).all()
    try:
        wrong = run_interleaved(program, image, 1, naked)
    except (AssertionError, IndexError):
        return
    assert (wrong != right).any()


def test_each_pair_of_units_needs_its_marks():
    """Dropping the marks between two units gives other logits in some order."""
    _, program, image = compiled("ring smaller than a layer")
    instructions = functional(program, image).program
    right = functional(program, image).run()
    pairs = {
        (producer, consumer.unit)
        for consumer in instructions
        if consumer.unit is not None
        for producer in Unit
        if consumer.wait >> producer & 1
    }
    assert len(pairs) >= 8
    missed = [
        (producer, consumer)
        for producer, consumer in sorted(pairs)
        if not any(
            _differs(program, image, seed, _without(instructions, producer, consumer), right)
            for seed in range(10)
        )
    ]
    # Loads of exponents come behind loads of weights, which wait for matmuls that used the norm.
    assert set(missed) <= {(Unit.NORM, Unit.LOAD)}


def _without(instructions, producer, consumer):
    """The program without the marks from one unit to another."""
    return [
        Instruction(
            i.opcode,
            i.operands,
            UnitSet(i.wait & ~(1 << producer) if i.unit == consumer else i.wait),
            UnitSet(i.signal & ~(1 << consumer) if i.unit == producer else i.signal),
        )
        for i in instructions
    ]


def _differs(program, image, seed, instructions, right):
    try:
        return (run_interleaved(program, image, seed, instructions) != right).any()
    except (AssertionError, IndexError):
        return True
