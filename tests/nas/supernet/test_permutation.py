"""Reordering: the function stays, and all state moves along."""

import torch

from nas.supernet.importance import importance, importance_permutation
from nas.supernet.permutation import PermutationBuilder, permute, permute_training
from nas.supernet.sensitivity import row_permutation, row_sensitivity
from tests.nas.supernet.test_sensitivity import trained


def test_permutation_keeps_the_function_and_moves_all_state(tiny_config, tiny_data):
    net, optimizer = trained(tiny_config, tiny_data)
    images, arch = tiny_data.validation.pixels, net.config.space.largest()
    before = net(images, arch)
    averages = {name: p.detach().clone() for name, p in net.named_parameters()}
    moment = optimizer.state[net.block(0).fc1.weight]["exp_avg"].clone()
    weight = net.block(0).fc1.weight.detach().clone()
    sensitivity = row_sensitivity(net, tiny_data.train)
    permutation = row_permutation(net, sensitivity)
    permute_training(net, optimizer, averages, permutation)

    torch.testing.assert_close(net(images, arch), before)
    order = sensitivity["blocks.0.fc1"].argsort(descending=True)
    assert not torch.equal(order, torch.arange(len(order)))
    assert torch.equal(net.block(0).fc1.weight, weight[order])
    assert torch.equal(optimizer.state[net.block(0).fc1.weight]["exp_avg"], moment[order])
    for name, parameter in net.named_parameters():
        assert torch.equal(averages[name], parameter)


def test_moves_of_one_parameter_follow_each_other(tiny_config, tiny_data):
    net, _ = trained(tiny_config, tiny_data)
    moves, order = PermutationBuilder(net), torch.tensor([1, 2, 0])
    for _ in range(3):
        moves.move("x", 0, order)
    values = torch.arange(3.0)
    permute({"x": values}, moves.permutation)
    assert values.tolist() == [0, 1, 2]  # three turns of three


def test_channels_and_rows_can_be_sorted_one_after_the_other(tiny_config, tiny_data):
    net, optimizer = trained(tiny_config, tiny_data)
    images, arch = tiny_data.validation.pixels, net.config.space.largest()
    before = net(images, arch)
    first = importance_permutation(net, importance(net, tiny_data.train))
    permute_training(net, optimizer, {}, first)
    second = row_permutation(net, row_sensitivity(net, tiny_data.train))
    permute_training(net, optimizer, {}, second)
    torch.testing.assert_close(net(images, arch), before, rtol=1e-4, atol=1e-5)
