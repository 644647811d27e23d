"""Features: tokens behind the last block, normalised in floating point and pooled.

Source: docs/format.md, section Features. One function for golden, a simulated engine and boards.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def features(output: Any, tokens: np.ndarray, patches: int) -> np.ndarray:
    """Apply the final LayerNorm and pool.

    ``f = matrix @ ((x - mean x) / sqrt(variance x + epsilon)) + bias`` with ``x = r * scale``, in
    float64; of the class token, averaged over the patches, or of every token. Without an epsilon,
    behind attention pooling, ``f = matrix @ x + bias`` of the one token.

    Parameters
    ----------
    output : rtl.model.Features, or the part of a package that has the same members
    tokens : (batch, tokens, width) integers
        Residual words behind the last block, of the tokens that are left there.
    patches : int
        How many of the tokens, the first ones, are patches.

    Returns
    -------
    (batch, features) float32; (batch, tokens, features) with pool ``"all"``
    """
    if output.pool == "token":
        tokens = tokens[:, -1:]
    elif output.pool == "mean":
        tokens = tokens[:, :patches]
    x = tokens * np.float64(output.scale)
    if output.epsilon is not None:
        x = x - x.mean(axis=-1, keepdims=True)
        variance = (x * x).mean(axis=-1, keepdims=True)
        x = x / np.sqrt(variance + np.float64(output.epsilon))
    found = x @ output.matrix.T.astype(np.float64) + output.bias  # (batch, tokens, features)
    return (found if output.pool == "all" else found.mean(axis=1)).astype(np.float32)
