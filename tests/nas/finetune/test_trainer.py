"""A subnet goes on from the supernet's weights, scales and order of tiles."""

from dataclasses import replace

import pytest
import torch

from nas.finetune.trainer import LargestSubnet, SubnetTrainer
from nas.training.checkpoint import load_supernet
from nas.warm.source import NetworkSource


@pytest.fixture
def config(tiny_config, tiny_space, tiny_checkpoint):
    return replace(
        tiny_config,
        alone=tiny_space.smallest(),
        start=NetworkSource(str(tiny_checkpoint), sha256="0" * 64),
        float_epochs=0,
        quantized_epochs=1,
    )


def test_training_goes_on_from_the_supernet(config, tiny_data, tiny_checkpoint, tmp_path):
    supernet, trainer = (
        load_supernet(tiny_checkpoint),
        SubnetTrainer(config, tiny_data, tmp_path / "run.pt"),
    )
    assert trainer.arch == config.alone and trainer.steps == trainer.steps_per_epoch == 6
    for (name, value), kept in zip(
        trainer.net.named_parameters(), supernet.parameters(), strict=True
    ):
        assert torch.equal(value, kept), name
    losses = [trainer.advance() for _ in range(6)]
    assert all(each.keys() == {"only"} for each in losses)
    assert trainer.net.order == supernet.order
    assert trainer.net.residual_scale == supernet.residual_scale
    assert trainer.net.shape(trainer.arch) == supernet.shape(trainer.arch)
    fc1, before = (net.block(0).fc1.weight for net in (trainer.net, supernet))
    rows, depth = trainer.arch.hidden(0), trainer.arch.width
    assert not torch.equal(fc1[:rows, :depth], before[:rows, :depth])


def test_it_learns_from_the_largest_subnet(config, tiny_data, tiny_checkpoint, tmp_path):
    turned = replace(tiny_data, train=replace(tiny_data.train, labels=tiny_data.train.labels * 0))

    def weights(data, share):
        trainer = SubnetTrainer(replace(config, teacher_share=share), data, tmp_path / "none.pt")
        trainer.advance()
        return torch.cat([value.detach().flatten() for value in trainer.net.parameters()])

    assert torch.equal(weights(tiny_data, 1.0), weights(turned, 1.0))
    assert not torch.equal(weights(tiny_data, 0.0), weights(turned, 0.0))
    net, images = load_supernet(tiny_checkpoint), tiny_data.train.pixels[:8]
    found = LargestSubnet(net).probabilities(images)
    assert torch.equal(found, net.quantized(images, config.supernet.space.largest()).softmax(1))


def test_a_saved_run_goes_on_as_if_nothing_had_been(config, tiny_data, tmp_path):
    whole = SubnetTrainer(config, tiny_data, tmp_path / "run.pt")
    for _ in range(3):
        whole.advance()
    whole.save()
    resumed = SubnetTrainer(config, tiny_data, tmp_path / "run.pt")
    assert resumed.step == 3 and resumed.net.order == whole.net.order
    for trainer in (whole, resumed):
        while trainer.step < trainer.steps:
            trainer.advance()
        trainer.finish()
    for (name, value), other in zip(
        whole.net.named_parameters(), resumed.net.parameters(), strict=True
    ):
        assert torch.equal(value, other), name
