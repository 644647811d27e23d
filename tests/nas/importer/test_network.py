"""The canonical form."""

import torch

from nas.importer import load
from nas.importer.network import affine
from tests.nas.importer.tiny import MEAN, STD, Style, export


def test_sizes(tmp_path):
    path, _ = export(tmp_path, Style("tokens", registers=2))
    network = load(path, mean=MEAN, std=STD)
    assert (network.width, network.tokens, network.patches) == (24, 12, 9)
    assert network.blocks[0].hidden == 48


def test_a_layer_without_bias():
    layer = affine(torch.ones(2, 3))
    assert (layer.bias.tolist(), layer.weight.dtype) == ([0, 0], torch.float64)
