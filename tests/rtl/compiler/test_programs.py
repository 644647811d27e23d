"""Compiled programs compute what golden computes, in every order that they allow.

Runs on the instruction set's interpreter: lowering, memory image, synchronisation without RTL.
"""

import numpy as np
import pytest

from rtl.compiler import compare, compile_model
from rtl.isa.instructions import Instruction, Opcode, Unit, UnitSet, credit
from rtl.isa.scratchpads import Scratchpads
from rtl.isa.semantics import HostMemory, Interpreter
from rtl.model.keep import original_tokens
from sim import golden
from sim.random_model import random_images, random_model
from tests.rtl.compiler.interleave import events
from tests.rtl.compiler.shapes import SHAPES


def compiled(name, images=1):
    engine, arguments = SHAPES[name]
    model = random_model(
        act_bits=engine.act_bits, **{k: v for k, v in arguments.items() if k != "act_bits"}
    )
    image = random_images(model.image, images, seed=3)
    return model, compile_model(model, engine), image


def test_the_mean_is_tested_of_signed_and_of_unsigned_codes():
    for what, signed in (("signed", True), ("unsigned", False)):
        model, _, _ = compiled(f"mean of {what} codes of 8 bits")
        assert model.classifier.norm.signed is signed


def functional(program, image, seed=0):
    offset = program.memory.program_offset
    host = HostMemory(program.region, image.tobytes(), offset, len(image))
    return Interpreter(Scratchpads(program.program.plan.engine, seed), golden, host)


@pytest.mark.parametrize("name", SHAPES)
def test_every_write_equals_golden(name):
    """In program order, and each tensor element where the symbols say that it is."""
    model, program, image = compiled(name)
    tensors = {}
    output = golden.run(model, image, tensors=tensors)[0]
    tensors = {key: value[0] for key, value in tensors.items()}
    engine, symbols = functional(program, image), program.symbols()
    for number, instruction in enumerate(engine.program):
        engine.execute(instruction)
        expected = symbols.expected_writes(number, tensors)
        pad = getattr(engine.pads, expected.buffer, None) if expected else None
        if expected is None or pad is None or pad.ndim != 3:
            continue  # what LOAD writes of constants lies in other shapes
        if expected.buffer in ("parameters", "exponents"):
            continue
        words = pad[expected.banks, expected.words]
        assert not compare(expected, expected.banks, expected.words, words, expected.written)
    result = engine.result()
    np.testing.assert_array_equal(program.output(result)[0], output)
    indices = program.indices(result)
    assert (indices is not None) == program.program.plan.shape.indexed
    if indices is not None:
        left = original_tokens(tensors, model.shape, len(model.blocks))
        np.testing.assert_array_equal(indices[0], left)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(2))
def test_any_interleaving_gives_the_same_output(name, seed):
    """Of the instructions of two images, too: there are two in flight."""
    model, program, images = compiled(name, images=3)
    output = golden.run(model, images)
    result = run_interleaved(program, images, seed)
    np.testing.assert_array_equal(program.output(result), output)


@pytest.mark.parametrize(
    "name", ["digits", "ring smaller than a layer", "tokens", "two tables", "a norm in front"]
)
def test_images_one_after_the_other(name):
    """In program order, the semaphores checked on the way."""
    model, program, images = compiled(name, images=3)
    output = golden.run(model, images)
    np.testing.assert_array_equal(program.output(functional(program, images).run()), output)


def run_interleaved(program, image, seed, instructions=None):
    """Execute in a random order; what a unit does, it does early or late, at random."""
    engine = functional(program, image, seed)
    instructions = instructions or engine.program
    rng = np.random.default_rng(seed)
    sums, late = {}, {}
    depth = engine.config.queue_depth
    for what, *which in events(instructions, depth, rng, engine.images):
        image, number = which
        instruction, key = instructions[number], (image, number)
        matmul = instruction.opcode is Opcode.MATMUL
        if what == "start":
            late[key] = rng.random() < 0.5
            if not late[key]:
                sums[key] = engine.start(instruction)
                if not matmul:
                    engine.finish(instruction, None, image)
        elif late[key]:
            engine.finish(instruction, engine.start(instruction), image)
        elif matmul:
            engine.finish(instruction, sums.pop(key), image)
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
    _, program, image = compiled("ring smaller than a layer", images=2)
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
    # Logits that are not stored in time: test_what_one_image_must_leave_to_the_next_is_waited_for.
    assert set(missed) <= {(Unit.NORM, Unit.LOAD), (Unit.STORE, Unit.MATMUL)}


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("ring smaller than a layer", (Unit.MATMUL, Unit.LOAD)),
        ("depth 1, colour, head_dim of 8, odd sizes", (Unit.NORM, Unit.LOAD)),
        ("depth 1, colour, head_dim of 8, odd sizes", (Unit.STORE, Unit.MATMUL)),
    ],
)
def test_what_one_image_must_leave_to_the_next_is_waited_for(name, pair):
    """Dropping the waits for the image before gives other logits in some order."""
    _, program, images = compiled(name, images=3)
    instructions = functional(program, images).program
    assert instructions[0].credits[pair[0]][pair[1]]
    right = functional(program, images).run()
    naked = _without_the_image_before(instructions, *pair)
    assert any(_differs(program, images, seed, naked, right) for seed in range(20))


def _without_the_image_before(instructions, producer, consumer):
    """The program without a pair's credits, the first waits that use them, their signals."""
    count = instructions[0].credits[producer][consumer]
    field = credit(producer, consumer)
    begin, *others = instructions
    changed = [Instruction(begin.opcode, begin.operands | {field: 0})]
    waits, signals = 0, sum(i.unit == producer and i.signal >> consumer & 1 for i in others)
    for i in others:
        wait, signal = i.wait, i.signal
        if i.unit == consumer and wait >> producer & 1:
            waits += 1
            wait &= ~((waits <= count) << producer)
        if i.unit == producer and signal >> consumer & 1:
            signals -= 1
            signal &= ~((signals < count) << consumer)
        changed.append(Instruction(i.opcode, i.operands, UnitSet(wait), UnitSet(signal)))
    return changed


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
