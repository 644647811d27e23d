"""Sizes of many networks as arrays: what the shapes say, one by one."""

from dataclasses import fields

import numpy as np
import pytest

from nas.cost.networks import Networks
from nas.digits import DIGITS
from nas.space import Space

IMAGENET = Space(
    image=(224, 224, 3), patch=16, classes=1000, head_dim=64, widths=(192, 320, 384),
    depths=(1, 3, 12), heads=(3, 5, 6), mlp_ratios=(2.5, 4), fractions=(0.0, 0.1, 0.3, 1.0),
    row_granularity=32,
)  # fmt: skip


@pytest.mark.parametrize("space", [DIGITS, IMAGENET])
def test_genes_give_the_sizes_of_their_shapes(space):
    rng = np.random.default_rng(0)
    genes = rng.integers(0, space.gene_choices, (200, len(space.gene_choices)))
    ours = Networks.of_genes(space, genes)
    shapes = Networks.of_shapes([space.shape(space.decode(row)) for row in genes])
    assert len(ours) == 200
    for field in fields(Networks):
        first, second = getattr(ours, field.name), getattr(shapes, field.name)
        assert np.array_equal(first, second), field.name


def test_some_of_the_networks():
    rng = np.random.default_rng(1)
    genes = rng.integers(0, DIGITS.gene_choices, (10, len(DIGITS.gene_choices)))
    networks = Networks.of_genes(DIGITS, genes)
    chosen = networks[networks.width == networks.width[0]]
    assert len(chosen) < 10 and (chosen.width == networks.width[0]).all()
    assert (networks.tokens == 17).all()
