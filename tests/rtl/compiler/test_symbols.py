"""A wrong element of any tensor is named: tensor, head, token, row."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.compiler import compare, compile_model, symbol_table
from rtl.config import TINY
from sim.random_model import random_model
from tests.rtl.compiler.expected import COMPILED, expected_writes, tensors_of

POOLED = compile_model(
    random_model(patch=14, width=32, head_dim=16, blocks=((2, 64),), classes=5, pool="mean"), TINY
)


@pytest.fixture(scope="module")
def tensors():
    return tensors_of(COMPILED)


CASES = [
    ("embed", "embed", -1),
    ("norm", "blocks.0.norm1", -1),
    ("qkv", "blocks.0.q", -1),
    ("qkv", "blocks.0.k", -1),
    ("qkv", "blocks.0.v", -1),
    ("scores", "blocks.0.scores", 1),
    ("softmax", "blocks.0.attention", 1),
    ("context", "blocks.0.context", 1),
    ("fc1", "blocks.1.hidden", -1),
    ("fc2", "blocks.1.output", -1),
    ("head", "logits", -1),
]


@pytest.mark.parametrize("kind, tensor, head", CASES)
def test_one_flipped_bit_is_named(tensors, kind, tensor, head):
    flip_one_bit(expected_writes(tensors, kind, tensor, head), tensor, head)


@pytest.mark.parametrize("tensor", ["pool.weights", "pool.values", "pool"])
def test_one_flipped_bit_of_the_mean_is_named(tensor):
    expected = expected_writes(tensors_of(POOLED), "pool", tensor, compiled=POOLED)
    flip_one_bit(expected, tensor)


def flip_one_bit(expected, tensor, head=-1):
    index, lane = np.argwhere(expected.known & (expected.columns >= 0))[-1]
    values = expected.values.copy()
    values[index, lane] ^= 1
    found = compare(expected, expected.banks, expected.words, values, expected.written)
    token, column = expected.tokens[index], expected.columns[index, lane]
    place = f"head {head}, token {token}, {column}" if head >= 0 else f"token {token}, {column}"
    assert f"{tensor}[{place}] ({expected.buffer} bank" in str(found)
    assert (found.expected, found.got) == (expected.values[index, lane], values[index, lane])


def test_constants_are_known_byte_by_byte(tensors):
    expected = expected_writes(tensors, "load", "weights")
    assert expected.buffer == "weights" and expected.values.shape[1] == TINY.weight_word_bytes
    wrong = replace(expected, values=expected.values ^ 1)
    found = compare(expected, wrong.banks, wrong.words, wrong.values, wrong.written)
    assert "weights (weights bank 0 word 0 lane 0)" in str(found)


def test_every_instruction_has_a_symbol():
    table = symbol_table(COMPILED.program)
    assert [entry["instruction"] for entry in table] == list(range(len(table)))
    scores = [entry for entry in table if entry["kind"] == "scores"]
    assert scores[0] == {
        "instruction": scores[0]["instruction"],
        "opcode": "MATMUL",
        "kind": "scores",
        "tensor": "blocks.0.scores",
        "tokens": [0, 4],
        "head": 0,
    }
