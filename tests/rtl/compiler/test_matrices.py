"""Padded rows and columns, and matrices that no file holds."""

import numpy as np

from rtl.compiler import plan_model
from rtl.compiler.matrices import depth_map, pool_matrices, row_map
from rtl.config import TINY
from sim.random_model import random_model

MODEL = random_model(
    image=(28, 28, 1), patch=14, width=32, head_dim=12, blocks=((2, 16),), classes=5, pool="mean"
)
PLAN = plan_model(MODEL, TINY)


def test_heads_are_padded_to_whole_depth_words():
    """Two heads of 12 rows in 16 each."""
    rows = row_map(PLAN, PLAN.layers(0)["q"])
    assert rows.tolist() == [*range(12), *[-1] * 4, *range(12, 24), *[-1] * 4]
    assert depth_map(PLAN, PLAN.layers(0)["proj"]).tolist() == rows.tolist()


def test_rows_of_a_patch_are_padded_to_whole_pixel_words():
    columns = depth_map(PLAN, PLAN.embed)
    assert columns.reshape(14, 16)[1].tolist() == [*range(14, 28), -1, -1]


def test_other_matrices_are_padded_at_the_end():
    assert row_map(PLAN, PLAN.head).tolist() == [*range(5), *[-1] * 11]
    assert depth_map(PLAN, PLAN.head).tolist() == list(range(32))


def test_matrices_of_the_mean():
    matrices = pool_matrices(MODEL, PLAN)
    assert set(matrices) == {"pool.values", "pool.weights", "pool"}
    np.testing.assert_array_equal(matrices["pool.values"].weight, np.eye(16))
    centre = MODEL.classifier.norm.centre(MODEL.act_bits)
    np.testing.assert_array_equal(matrices["pool.values"].bias, np.full(16, -centre))
    patches = [1, 1, 1, 1] + [0] * (PLAN.tokens - 4)  # the class token does not count
    assert matrices["pool.weights"].bias.tolist() == patches
    np.testing.assert_array_equal(matrices["pool"].bias, MODEL.classifier.pool.bias)


def test_a_model_that_does_not_pool_has_none():
    model = random_model(patch=14, width=16, blocks=((1, 16),), classes=3)
    assert pool_matrices(model, plan_model(model, TINY)) == {}
