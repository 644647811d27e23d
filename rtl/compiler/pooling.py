"""Matrices of mean pooling, which no file holds: docs/design/0008-mean-pooling.md."""

import numpy as np

from rtl.compiler.sizes import Plan
from rtl.model import IntegerModel, Linear

UNSCALED = (2, 1)  # multiplier and shift: the code is the accumulator


def pool_matrices(model: IntegerModel, plan: Plan) -> dict[str, Linear]:
    """Matrices by their names in :attr:`rtl.compiler.sizes.Plan.pool_layers`, if the model pools.

    ``pool.values`` is the identity of one row tile, which subtracts the centre of the code;
    ``pool.weights`` has a row per token, without weights, whose bias is the token's weight;
    ``pool`` has scales alone, for its weights are the values.
    """
    if model.pool is None:
        return {}
    rows, depth = plan.engine.row_lanes, plan.engine.depth_lanes
    centre = np.full(rows, model.norm.centre(model.act_bits))
    is_patch = np.arange(plan.tokens) < plan.shape.patches
    return {
        "pool.values": _unscaled(np.eye(rows), -centre),
        "pool.weights": _unscaled(np.zeros((plan.tokens, depth)), is_patch),
        "pool": Linear(
            weight=np.zeros((model.width, 0), np.int8),
            bits=np.full(model.width, 8, np.uint8),
            bias=model.pool.bias,
            multiplier=model.pool.multiplier,
            shift=model.pool.shift,
        ),
    }


def _unscaled(weight: np.ndarray, bias: np.ndarray) -> Linear:
    """4-bit rows whose result is the accumulator plus the bias."""
    multiplier, shift = (np.full(len(weight), value) for value in UNSCALED)
    return Linear(
        weight=weight.astype(np.int8),
        bits=np.full(len(weight), 4, np.uint8),
        bias=bias.astype(np.int32),
        multiplier=multiplier.astype(np.uint32),
        shift=shift.astype(np.uint8),
    )
