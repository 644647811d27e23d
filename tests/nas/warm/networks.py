"""A space of the sizes of timm's small models in the importer's tests, and a source of them."""

from pathlib import Path
from typing import Any

import torch

from nas.space import Space
from nas.supernet.supernet import Supernet, SupernetConfig
from nas.warm.source import NetworkSource
from tests.nas.importer.timm_models import saved

SPACE = Space(
    image=(32, 32, 3),
    patch=8,
    classes=4,
    head_dim=8,
    widths=(16, 24),
    depths=(1, 2),
    heads=(2, 3),
    mlp_ratios=(2, 4),
    fractions=(0.0, 1.0),
    row_granularity=8,
)
NAMES = ("ant", "bee", "cat", "dog")


def source_of(folder: Path, architecture: str = "vit_tiny_patch16_224", **arguments: Any) -> Any:
    """Save a small model of timm's; return where, and the model."""
    folder.mkdir(parents=True, exist_ok=True)
    model = saved(folder, architecture, **{"num_classes": 4, **arguments})
    return NetworkSource(str(folder)), model


def supernet(space: Space = SPACE, epsilon: float = 1e-6) -> Supernet:
    """Make a supernet whose pixels have another mean and standard deviation than the source's."""
    torch.manual_seed(5)
    mean = (90, 120, 33)[: space.image[2]]
    return Supernet(SupernetConfig(space, mean, 55.0, epsilon=epsilon))
