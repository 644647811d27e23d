"""Kinds of GELU, told apart by their values: sources write them in many ways."""

import torch
from torch import Tensor

from nas.importer.forward import gelu
from nas.importer.network import ACTIVATIONS

GELU_GRID = torch.linspace(-8, 8, 1025, dtype=torch.float64)
"""Inputs of an activation whose kind is asked for."""

TOLERANCE = 1e-5  # kinds differ by 4e-4 and more, their constants in float32 by 1e-7


def kind_of(values: Tensor) -> str | None:
    """Return the kind of GELU that has these values at :data:`GELU_GRID`; None if none does."""
    for kind in ACTIVATIONS:
        if (values - gelu(kind, GELU_GRID)).abs().max() < TOLERANCE:
            return kind
    return None
