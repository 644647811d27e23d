"""Other ways to choose tiles: what they score, and that whole layers are whole."""

import pytest
import torch
from torch.nn import functional

from nas.importer.forward import features, forward
from nas.importer.network import converted
from nas.quantize.arrange import folded
from nas.quantize.method import Method
from nas.quantize.sensitivity import layer_inputs, row_scores
from nas.studies.scores import choose_layers, fisher_scores, local_scores
from rtl.model.shape import LAYERS
from tests.nas.quantize.networks import random_images, random_network
from tests.nas.quantize.test_sensitivity import with_four_bits


@pytest.fixture(scope="module")
def network():
    drawn = random_network(classes=0, depth=3, hidden=64, pool="all")
    return converted(folded(drawn, Method()), torch.float32)


def test_a_local_score_is_the_change_of_the_row_s_own_result(network):
    images = random_images(6)
    found = local_scores(network, images)
    assert set(found) == {f"blocks.{i}.{layer}" for i in range(3) for layer in LAYERS}
    x = layer_inputs(network, images)[0]["blocks.1.fc1"]
    before, after = network, with_four_bits(network, "blocks.1.fc1", images)
    results = [
        functional.linear(x, net.blocks[1].fc1.weight, net.blocks[1].fc1.bias)
        for net in (before, after)
    ]
    change = (results[1] - results[0]).square().sum((0, 1))
    # The bias of the rounded layer keeps the mean as well as its code allows.
    torch.testing.assert_close(found["blocks.1.fc1"], change, rtol=1e-2, atol=1e-4)


def test_fisher_scores_predict_the_change_of_the_loss(network):
    images, labels = random_images(6), torch.arange(6) % 4
    width = features(network, forward(network, images[:1])).shape[-1]
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, width, generator=generator).double()
    bias = torch.randn(4, generator=generator).double()
    score = fisher_scores(images, labels, weight, bias)
    found = score(network, random_images(2), 0)

    def losses(net):
        logits = features(net, forward(net, images))[:, -1].double() @ weight.T + bias
        return functional.cross_entropy(logits, labels, reduction="none")

    name = "blocks.1.proj"
    change = losses(with_four_bits(network, name, images)) - losses(network)
    length = features(network, forward(network, images)).square().sum()
    # Rows add up only where they are independent: the order of magnitude.
    predicted = float(found[name].sum() * length)
    assert 0.2 < predicted / float(change.square().sum()) < 5
    other = fisher_scores(images, labels.flip(0), weight, bias)(network, images, 0)
    assert not torch.equal(other[name], found[name])
    assert not torch.equal(row_scores(network, images)[name], found[name])


def test_layers_are_chosen_whole():
    scores = {"blocks.0.q": torch.tensor([1.0, 8.0]), "blocks.0.fc1": torch.tensor([9.0, 2.0, 7.0])}

    def cycles(flags):
        assert all(len(flags[name]) == len(part) for name, part in scores.items())
        return 100 + 10 * sum(int(part.sum()) for part in flags.values())

    for limit, expected in ((119, 0), (120, 2), (129, 2), (149, 2), (150, 5)):
        flags = choose_layers(scores, cycles, limit)
        assert {name: len(part) for name, part in flags.items()} == {
            "blocks.0.q": 2,
            "blocks.0.fc1": 3,
        }
        assert all(bool(part.all()) == bool(part.any()) for part in flags.values())
        assert sum(int(part.sum()) for part in flags.values()) <= (limit - 100) // 10
        assert sum(int(part.sum()) for part in flags.values()) in (0, expected, 3, 5)
