"""Matrices as they lie on the chip: padded rows and columns, and those of mean pooling.

Both maps give, for every padded index, the model's index, or -1 where there is padding (zeros).
The matrices of mean pooling are in no file: docs/design/0008-mean-pooling.md.
"""

import numpy as np

from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TiledMatrix
from rtl.model import Features, IntegerModel, Linear

UNSCALED = (2, 1)  # multiplier and shift: the code is the accumulator


def row_map(plan: Plan, layer: TiledMatrix) -> np.ndarray:
    """(row tiles * row_lanes,) row of the model; Q, K and V have padded heads."""
    rows = np.arange(layer.rows)
    if layer.name[-2:] in (".q", ".k", ".v"):
        rows = padded_head_rows(plan, layer.rows)
    return _inverse(rows, layer.row_tiles * plan.engine.row_lanes)


def depth_map(plan: Plan, layer: TiledMatrix) -> np.ndarray:
    """(depth words * depth_lanes,) column of the model.

    The projection's input has padded heads, the patch embedding's padded patch rows.
    """
    columns = np.arange(layer.depth)
    if layer.name.endswith(".proj"):
        columns = padded_head_rows(plan, layer.depth)
    elif layer.name == "embed":
        row, within = np.divmod(columns, plan.segment_bytes)
        columns = row * plan.patch_row_words * plan.engine.depth_lanes + within
    return _inverse(columns, layer.depth_words * plan.engine.depth_lanes)


def padded_head_rows(plan: Plan, rows: int) -> np.ndarray:
    """Padded index of each of ``rows`` rows of Q, K, V or the context."""
    head, dim = np.divmod(np.arange(rows), plan.shape.head_dim)
    return head * plan.head_rows + dim


def _inverse(padded: np.ndarray, length: int) -> np.ndarray:
    inverse = np.full(length, -1)
    inverse[padded] = np.arange(len(padded))
    return inverse


def pool_matrices(model: IntegerModel, plan: Plan) -> dict[str, Linear]:
    """Matrices by their names in :attr:`rtl.compiler.sizes.Plan.pool_layers`, if the model pools.

    ``pool.values`` is the identity of one row tile, which subtracts the centre of the code;
    ``pool.weights`` has a row per token, without weights, whose bias is the token's weight;
    ``pool`` has scales alone, for its weights are the values.
    """
    if isinstance(model.output, Features) or model.output.pool is None:
        return {}
    norm, pool = model.output.norm, model.output.pool
    rows, depth = plan.engine.row_lanes, plan.engine.depth_lanes
    centre = np.full(rows, norm.centre(model.act_bits))
    is_patch = np.arange(plan.tokens) < plan.shape.patches
    return {
        "pool.values": _unscaled(np.eye(rows), -centre),
        "pool.weights": _unscaled(np.zeros((plan.tokens, depth)), is_patch),
        "pool": Linear(
            weight=np.zeros((model.width, 0), np.int8),
            bits=np.full(model.width, 8, np.uint8),
            bias=pool.bias,
            multiplier=pool.multiplier,
            shift=pool.shift,
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
