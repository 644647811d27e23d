"""Accuracy of a model on a set of images."""

import torch

from nas.data import ImageSet
from nas.supernet.supernet import Supernet
from nas.training.evaluate import evaluate, moved_net


def test_evaluate_counts_over_batches():
    images = torch.zeros(10, 2, 2, 1, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(10) % 3
    images = ImageSet(images, torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 1]))

    def predict(batch):
        return torch.nn.functional.one_hot(batch[:, 0, 0, 0].long(), 3).float()

    result = evaluate(predict, images, batch=4)
    assert result.accuracy == 0.9 and not result.correct[9]
    assert result.predicted.tolist() == [0, 1, 2] * 3 + [0]
    assert result.cross_entropy.shape == (10,)
    assert result.interval[0] < 0.9 < result.interval[1]


def test_a_network_is_copied_to_another_device_only(tiny_config):
    net = Supernet(tiny_config.supernet)
    assert moved_net(net, torch.device("cpu")) is net
    moved = moved_net(net, torch.device("meta"))
    assert {each.device.type for each in moved.parameters()} == {"meta"}
    assert moved.pixel_mean.device.type == "meta" and net.position.device.type == "cpu"
