"""Kinds of GELU by their values."""

import torch
from torch.nn import functional

from nas.importer.activations import GELU_GRID, kind_of
from nas.importer.forward import gelu


def test_kinds():
    assert [kind_of(gelu(kind, GELU_GRID)) for kind in ("erf", "tanh", "quick")] == [
        "erf",
        "tanh",
        "quick",
    ]
    assert kind_of(gelu("erf", GELU_GRID.float()).double()) == "erf"
    assert kind_of(functional.silu(GELU_GRID)) is None
    assert kind_of(torch.full_like(GELU_GRID, torch.nan)) is None
