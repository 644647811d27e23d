"""Where the rows and columns of a layer's matrix lie after padding.

Both maps give, for every padded index, the model's index, or -1 where there is padding (zeros).
"""

import numpy as np

from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TiledMatrix


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
