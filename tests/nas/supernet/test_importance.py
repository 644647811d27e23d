"""Importance: the function stays, what matters most comes first, and a subnet keeps that."""

import pytest
import torch
from torch.nn import functional

from nas.supernet.importance import importance, importance_permutation
from nas.supernet.permutation import permute
from nas.supernet.supernet import Supernet
from tests.nas.supernet.test_sensitivity import trained


@pytest.fixture
def net(tiny_config, tiny_data) -> Supernet:
    return trained(tiny_config, tiny_data)[0]


def test_sorting_keeps_the_function_and_sorts(net, tiny_data):
    images, arch = tiny_data.validation.pixels, net.config.space.largest()
    before, found = net(images, arch), importance(net, tiny_data.train)
    permute(dict(net.named_parameters()), importance_permutation(net, found))
    torch.testing.assert_close(net(images, arch), before, rtol=1e-4, atol=1e-5)
    after = importance(net, tiny_data.train)
    torch.testing.assert_close(after.channels, found.channels.sort(descending=True).values)
    torch.testing.assert_close(after.heads, found.heads.sort(dim=1, descending=True).values)
    assert not torch.equal(found.channels, after.channels)


def test_a_head_that_nobody_reads_is_the_last(net, tiny_data):
    with torch.no_grad():
        net.block(0).proj.weight[:, :8] = 0  # of head 0
    found = importance(net, tiny_data.train)
    assert found.heads[0, 0] == 0 < found.heads[0, 1]
    permutation = importance_permutation(net, found)
    [order] = [order for _, order in permutation["blocks.0.proj.weight"] if len(order) == 16][:1]
    assert order.tolist() == [*range(8, 16), *range(8)]


def test_a_channel_that_is_small_counts_little(net, tiny_data):
    with torch.no_grad():
        for layer in (net.embed, *(net.block(i).proj for i in range(2)), net.block(0).fc2):
            layer.weight[3] *= 1e-3
            layer.get_parameter("bias")[3] *= 1e-3
        net.block(1).fc2.weight[3] *= 1e-3
        net.block(1).fc2.get_parameter("bias")[3] *= 1e-3
        net.position[:, 3] *= 1e-3
    assert int(importance(net, tiny_data.train).channels.argmin()) == 3


def test_importance_is_the_first_order_change_of_the_loss(net, tiny_data):
    """Of the sum over images: a head scaled by 1 + h changes each image's loss by h x change."""
    few = tiny_data.train.take(range(1))  # of one image, the sum of absolute values is one value
    found, space = importance(net, few), net.config.space
    losses = []
    for factor in (1 - 1e-2, 1 + 1e-2):

        def scale(name, value, factor=factor):
            if name == "blocks.0.context":
                value = value.clone()
                value[..., : space.head_dim] *= factor
            return value

        with torch.no_grad():
            losses.append(
                functional.cross_entropy(net(few.pixels, space.largest(), scale), few.labels)
            )
    assert abs(float(losses[1] - losses[0])) / 2e-2 == pytest.approx(
        float(found.heads[0, 0]), rel=0.02, abs=1e-5
    )
