"""Where the rows and columns of a layer's matrix lie after padding.

Both maps give, for every padded index, the model's index, or -1 where there is padding (zeros).
"""

import numpy as np

from rtl.compiler.sizes import LayerSizes, Sizes


def row_map(sizes: Sizes, layer: LayerSizes) -> np.ndarray:
    """(row tiles * row_lanes,) row of the model; Q, K and V have padded heads."""
    rows = np.arange(layer.rows)
    if layer.name[-2:] in (".q", ".k", ".v"):
        rows = padded_head_rows(sizes, layer.rows)
    return _inverse(rows, layer.row_tiles * sizes.engine.row_lanes)


def depth_map(sizes: Sizes, layer: LayerSizes) -> np.ndarray:
    """(depth words * depth_lanes,) column of the model.

    The projection's input has padded heads, the patch embedding's padded patch rows.
    """
    columns = np.arange(layer.depth)
    if layer.name.endswith(".proj"):
        columns = padded_head_rows(sizes, layer.depth)
    elif layer.name == "embed":
        row, within = np.divmod(columns, sizes.segment_bytes)
        columns = row * sizes.patch_row_words * sizes.engine.depth_lanes + within
    return _inverse(columns, layer.depth_words * sizes.engine.depth_lanes)


def padded_head_rows(sizes: Sizes, rows: int) -> np.ndarray:
    """Padded index of each of ``rows`` rows of Q, K, V or the context."""
    head, dim = np.divmod(np.arange(rows), sizes.shape.head_dim)
    return head * sizes.head_rows + dim


def _inverse(padded: np.ndarray, length: int) -> np.ndarray:
    inverse = np.full(length, -1)
    inverse[padded] = np.arange(len(padded))
    return inverse
