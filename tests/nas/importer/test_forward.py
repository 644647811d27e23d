"""The canonical network's computation, tensor by tensor."""

from dataclasses import replace

import pytest
import torch

from nas.importer import load
from nas.importer.forward import features, forward, gelu, logits
from nas.importer.network import affine
from tests.nas.importer.tiny import MEAN, STD, Style, export, pixels


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path, _ = export(tmp_path_factory.mktemp("tiny"), Style("classes"))
    return load(path, mean=MEAN, std=STD)


def test_a_tap_sees_and_changes_every_tensor(network):
    seen = {}

    def tap(name, tensor):
        seen[name] = tensor
        return torch.zeros_like(tensor) if name == "blocks.1.output" else tensor

    assert not forward(network, pixels(), tap).any()
    parts = "norm1 q k v scores attention context attended norm2 fc1 hidden output".split()
    assert list(seen) == ["embed", *(f"blocks.{i}.{part}" for i in (0, 1) for part in parts)]
    assert seen["blocks.0.attention"].shape == (2, 3, 10, 10)
    torch.testing.assert_close(seen["blocks.0.attention"].sum(-1), torch.ones(2, 3, 10).double())


def test_mean_pooling_is_over_patches(network):
    stream = forward(network, pixels())
    mean = logits(replace(network, pool="mean"), stream)
    torch.testing.assert_close(
        mean, features(network, stream)[:, :9].mean(1) @ network.head.weight.T + network.head.bias
    )
    with pytest.raises(ValueError, match=r"no classifier"):
        logits(replace(network, head=None), stream)


def test_a_key_bias_changes_nothing(network):
    blocks = tuple(replace(b, k=affine(b.k.weight)) for b in network.blocks)
    torch.testing.assert_close(
        forward(replace(network, blocks=blocks), pixels()), forward(network, pixels())
    )


def test_kinds_of_gelu():
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    assert gelu("erf", x)[2] == pytest.approx(0.8413447)
    assert gelu("tanh", x)[2] == pytest.approx(0.8411920)
    assert gelu("quick", x)[2] == pytest.approx(0.8457958)
