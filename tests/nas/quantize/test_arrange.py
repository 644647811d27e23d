"""Folds are proven, and hidden units put in order, before anything is quantized."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import forward
from nas.quantize.arrange import arranged, folded, prove, statistics, table_units, unit_order
from nas.quantize.method import NAIVE, Method
from rtl.errors import ToolError
from tests.nas.quantize.networks import random_images, random_network

IMAGES = random_images(11)


@pytest.mark.parametrize("method", [NAIVE, Method()])
@pytest.mark.parametrize("classes", [0, 5])
def test_folds_are_proven(method, classes):
    network = random_network(classes=classes)
    assert prove(network, folded(network, method), IMAGES) < 1e-12


def test_a_wrong_fold_is_refused():
    network = random_network()
    wrong = replace(network, position=network.position * (1 + 1e-6))
    with pytest.raises(ToolError, match="folds change the network's results by"):
        prove(network, wrong, IMAGES)


def test_statistics_do_not_depend_on_chunks():
    network = random_network()
    seen, first = statistics(network, IMAGES), statistics(network, IMAGES[:4])
    tops = {}
    forward(network, IMAGES, lambda name, x: tops.setdefault(name, x))
    streams = [x for name, x in tops.items() if name.endswith(("embed", "attended", "output"))]
    assert seen.residual_top == pytest.approx(max(float(x.abs().max()) for x in streams))
    torch.testing.assert_close(seen.hidden_tops[1], tops["blocks.1.hidden"].amax((0, 1)))
    assert (first.hidden_tops[0] <= seen.hidden_tops[0]).all()


def test_order_is_by_range_then_by_score():
    tops = torch.tensor([5.0, 1, 3, 2, 9, 4])
    assert unit_order(tops, (4, 2)).tolist() == [1, 3, 2, 5, 0, 4]
    scores = torch.tensor([0.0, 1, 2, 3, 4, 5])
    assert unit_order(tops, (4, 2), scores).tolist() == [5, 3, 2, 1, 4, 0]


def test_permuted_units_compute_the_same():
    network = random_network()
    order = [torch.randperm(48), torch.arange(47, -1, -1)]
    assert prove(network, arranged(network, order), IMAGES) < 1e-12


@pytest.mark.parametrize(
    ("hidden", "granularity", "units"),
    [(1536, 32, (1344, 192)), (48, 8, (40, 8)), (50, 8, (40, 10)), (32, 32, (32,)), (8, 8, (8,))],
)
def test_tables_are_split_at_whole_row_tiles(hidden, granularity, units):
    assert table_units(hidden, Method(), granularity) == units
    assert table_units(hidden, NAIVE, granularity) == (hidden,)
