"""Selection of tokens in floating point."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import attend, embed, forward, look, run_block, run_mlp
from nas.importer.selection import (
    gathered,
    keeping,
    most_important,
    on_tokens,
    original_patches,
)
from rtl.errors import UserError
from tests.nas.quantize.networks import random_images, random_network

IMAGES = random_images(4)
NETWORK = random_network(depth=4, registers=2)


def tensors_of(network, tap=look):
    seen = {}

    def see(name, tensor):
        seen[name] = tap(name, tensor)
        return seen[name]

    seen["result"] = forward(network, IMAGES, see)
    return seen


def test_the_largest_stay_in_their_order_and_the_others_behind_them():
    importance = torch.tensor([[3.0, 1.0, 9.0, 2.0], [0.0, 5.0, 4.0, 6.0]])
    assert most_important(importance, 2, 2).tolist() == [[0, 2, 4, 5], [1, 3, 4, 5]]


def test_of_equals_the_first_ones_stay():
    importance = torch.tensor([[1.0, 2.0, 1.0, 1.0, 2.0, 1.0]])
    assert most_important(importance, 4, 1).tolist() == [[0, 1, 2, 4, 6]]
    assert most_important(torch.zeros(1, 300), 17, 1).tolist() == [[*range(17), 300]]


def test_importance_is_the_class_tokens_attention():
    seen = tensors_of(keeping(NETWORK, {1: 4}))
    weights = seen["blocks.1.attention"][:, :, -1, :6]
    torch.testing.assert_close(seen["blocks.1.importance"], weights.sum(1))
    rows = zip(weights.sum(1).tolist(), seen["blocks.1.kept"].tolist(), strict=True)
    for row, kept in rows:
        assert kept == [*sorted(sorted(range(6), key=lambda j: -row[j])[:4]), 6, 7, 8]


def test_rounded_weights_do_not_choose():
    def blunt(name, tensor):
        return torch.ones_like(tensor) if name.endswith(".attention") else tensor

    network = keeping(NETWORK, {0: 3})
    kept = tensors_of(network)["blocks.0.kept"]
    assert torch.equal(tensors_of(network, blunt)["blocks.0.kept"], kept)


def test_tokens_that_stay_pass_a_block_as_they_would_with_all():
    """The block's MLP works on each token by itself; later blocks see only what stayed."""
    all_tokens, some = tensors_of(NETWORK), tensors_of(keeping(NETWORK, {1: 4, 2: 1}))
    for name in ("attended", "output"):
        expected = gathered(all_tokens[f"blocks.1.{name}"], some["blocks.1.kept"])
        torch.testing.assert_close(some[f"blocks.1.{name}"], expected)
    assert some["blocks.2.scores"].shape == (4, 2, 7, 7)
    assert some["blocks.3.norm1"].shape == some["result"].shape == (4, 4, 24)


def test_keeping_all_changes_nothing():
    network = keeping(NETWORK, "0:1.0,2:6")
    assert torch.equal(forward(network, IMAGES), forward(NETWORK, IMAGES))


def test_given_tokens_stay():
    network = keeping(NETWORK, {0: 4, 2: 2})
    given = {
        "blocks.0.kept": torch.tensor([[0, 1, 2, 3, 6, 7, 8]] * 4, dtype=torch.int32),
        "blocks.2.kept": torch.tensor([[1, 3, 4, 5, 6]] * 4, dtype=torch.int32),
    }
    chosen = tensors_of(network)
    seen = tensors_of(network, on_tokens(given, look))
    assert not torch.equal(chosen["blocks.0.kept"], seen["blocks.0.kept"])
    assert torch.equal(seen["blocks.2.kept"], given["blocks.2.kept"].long())
    expected = gathered(tensors_of(NETWORK)["blocks.0.output"], given["blocks.0.kept"])
    torch.testing.assert_close(seen["blocks.0.output"], expected)
    assert torch.equal(tensors_of(network, on_tokens(chosen, look))["result"], chosen["result"])


def test_patches_of_the_image_that_are_left():
    kept = {
        "blocks.0.kept": torch.tensor([[1, 2, 4, 5, 6], [0, 1, 2, 3, 6]]),
        "blocks.2.kept": torch.tensor([[0, 3, 4], [1, 2, 4]]),
        "blocks.2.output": torch.zeros(2, 3, 8),
    }
    found = original_patches(kept, 6)
    assert list(found) == [0, 2]
    assert [row.nonzero().flatten().tolist() for row in found[0]] == [[1, 2, 4, 5], [0, 1, 2, 3]]
    assert [row.nonzero().flatten().tolist() for row in found[2]] == [[1, 5], [1, 2]]


def test_both_halves_make_a_block():
    block, before = NETWORK.blocks[0], embed(NETWORK, IMAGES)
    behind, weights = attend(block, before, 12)
    assert weights.shape == (4, 9)
    torch.testing.assert_close(weights.sum(1), torch.full((4,), 2.0).double())  # two heads
    assert torch.equal(run_mlp(block, behind), run_block(block, before, 12))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (random_network(pool="mean"), "pooled by the mean of all patches"),
        (random_network(pool="mean", classes=0), "pooled by the mean of all patches"),
        (random_network(pool="attention", classes=0), "pooled by attention over all patches"),
        (replace(random_network(classes=0, pool="all"), host=b"onnx"), "decoder, which reads"),
    ],
)
def test_networks_that_read_every_patch_keep_all(network, message):
    with pytest.raises(UserError, match=message):
        keeping(network, "0:3")
