"""Tokens that stay keep their index in the image, and have their words at their places."""

from dataclasses import replace

import numpy as np

from rtl.compiler import compare, compile_model, plan
from rtl.compiler.selection import compacted_words, hints, tokens_of_image
from rtl.config import TINY
from rtl.isa.instructions import Destination, Instruction, Opcode
from rtl.model.keep import with_keep
from sim.random_model import random_model
from tests.rtl.compiler.expected import expected_writes, tensors_of

ENGINE = replace(TINY, select_tokens=256)
MODEL = random_model(patch=7, width=32, blocks=((2, 32),) * 3, keep={0: 9, 1: 4}, classes=5)
COMPILED = compile_model(MODEL, ENGINE)


def test_each_tensor_has_the_tokens_that_are_left():
    first, second = np.array([1, 2, 5, 16]), np.array([0, 3])
    shape = MODEL.shape
    kept = {"blocks.0.kept": first, "blocks.1.kept": second}

    def of(tensor):
        return tokens_of_image(shape, tensor, kept).tolist()

    for name in ("embed", "front.norm", "front", "blocks.0.norm1", "blocks.0.context"):
        assert of(name) == list(range(17))
    for name in ("blocks.0.attended", "blocks.0.norm2", "blocks.1.norm1", "blocks.1.scores"):
        assert of(name) == [1, 2, 5, 16]
    for name in ("blocks.1.output", "blocks.2.k", "blocks.2.output", "norm", "logits"):
        assert of(name) == [1, 16]


def test_a_token_that_stays_is_written_to_its_place():
    """Tokens 4 to 7, of which 5 and 7 stay, as second and third: group 0, banks 1 and 2."""
    operands = {"destination": Destination.KEPT, "row_tiles": 2, "destination_stride": 3}
    operands |= {"destination_address": 3 + 1, "token": 4, "lane_first": 0, "lane_count": 4}
    instruction = Instruction(Opcode.MATMUL, operands)
    tokens, place = compacted_words(instruction, ENGINE, np.array([0, 5, 7, 8]), 9)
    assert tokens.tolist() == [1, 2]
    assert place.buffer == "residual"
    assert place.banks.tolist() == [[1, 1], [2, 2]]
    assert place.words.tolist() == [[1, 2], [1, 2]]


def test_a_divergence_says_which_token_of_the_image_it_is():
    tensors = tensors_of(COMPILED)
    expected = expected_writes(tensors, "norm", "blocks.2.norm1", compiled=COMPILED)
    values = expected.values.copy()
    values[0, 0] ^= 1
    found = compare(expected, expected.banks, expected.words, values, expected.written)
    token = tensors["blocks.0.kept"][tensors["blocks.1.kept"][0]]
    name = "token 0" if token == 0 else f"token 0 (of the image's: {token})"
    assert f"blocks.2.norm1[{name}, 0] (" in str(found)


def test_a_count_that_opens_a_tile_for_the_class_token_is_pointed_out():
    """17 tokens on 4 lanes."""

    def of(keep, **sizes):
        return hints(plan(with_keep(replace(MODEL.shape, **sizes), {0: keep}), ENGINE))

    assert of(8) == [
        "blocks.0 keeps 8 patches: the class token would open a token tile of 4 lanes; 7 patches"
        " and all others fill 2 tiles"
    ]
    assert of(4)[0].endswith("of 4 lanes; 3 patches and all others fill one tile")
    assert of(7) == of(9) == of(11) == []
    (two,) = of(11, registers=2)
    assert "blocks.0 keeps 11 patches: tokens that are no patches would open" in two
    assert "9 patches and all others fill 3 tiles" in two
    assert of(1, registers=3) == []  # no patch would be left


def operation_of(opcode, block, head=-1):
    for number, operation in enumerate(COMPILED.program.operations):
        subject, adds = operation.subject, operation.operands.get("importance", 0)
        found = operation.opcode, subject.block, subject.head
        if found == (opcode, block, head) and (adds or opcode is Opcode.SELECT):
            return number
    raise AssertionError((opcode, block, head))


def test_importance_is_known_of_the_last_head():
    tensors, symbols = tensors_of(COMPILED), COMPILED.symbols()
    first, last = (
        symbols.expected_selection(operation_of(Opcode.SOFTMAX, 0, head), tensors)
        for head in (0, 1)
    )
    assert first.buffer == last.buffer == "importance"
    assert first.words.tolist() == last.words.tolist() == [0, 1, 2, 3, 4]  # 16 patches, 17 keys
    assert not first.known.any() and last.known.sum() == 16
    assert (last.values[last.known] == tensors["blocks.0.importance"]).all()
    number = operation_of(Opcode.SOFTMAX, 0, 0) - 1
    assert symbols.expected_selection(number, tensors) is None


def test_places_are_those_of_pairs_of_tokens():
    """Of ten tokens 0, 3, 4, 7 and 9 stay: the third of them is in the group below its own."""
    kept = {"blocks.1.kept": np.array([0, 3, 4, 7, 9])}
    number = operation_of(Opcode.SELECT, 1)
    found = COMPILED.symbols().expected_selection(number, tensors_of(COMPILED) | kept)
    assert found.buffer == "places" and found.words.tolist() == [0, 1, 2, 3, 4]
    assert found.values[:, :2].tolist() == [[0, -1], [-1, 1], [2, -1], [-1, 3], [-1, 4]]
    stride = 32 // TINY.row_lanes
    assert found.values[:, 2:].tolist() == [[0, 0], [1, 0], [2, stride], [3, stride], [0, stride]]
    assert found.known.all()


def test_a_token_that_goes_must_not_be_written():
    """The last instruction of the projection whose tokens all go, if there is one, or none."""
    tensors = tensors_of(COMPILED) | {"blocks.1.kept": np.array([5, 6, 7, 8, 9])}
    expected = expected_writes(tensors, "proj", "blocks.1.attended", compiled=COMPILED)
    assert len(expected.words) == 0
    record = np.zeros((1, TINY.row_lanes), np.int64)
    found = compare(expected, np.array([0]), np.array([3]), record, record == 0)
    assert "unexpected write of 0 to residual bank 0 word 3 lane 0" in str(found)
    assert (
        compare(expected, np.array([], int), np.array([], int), record[:0], record[:0] == 0) is None
    )
