"""Networks of a recipe: what is said, what is kept, and that training begins with them."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from nas.data import ImageSet, TrainingData
from nas.task.networks import with_start, with_teacher
from nas.training.augment import Augmentation
from nas.training.recipe import TrainConfig
from nas.training.trainer import Trainer
from nas.warm.source import NetworkSource
from rtl.errors import UserError
from rtl.model import Preprocessing
from tests.nas.importer.timm_models import pixels
from tests.nas.warm.networks import NAMES, source_of, supernet


@pytest.fixture
def config():
    return TrainConfig(
        supernet().config, Augmentation(), batch=4, float_epochs=1, quantized_epochs=1
    )


@pytest.fixture
def data():
    images = ImageSet(pixels(batch=8), torch.arange(8) % 4)
    return TrainingData(images, images.take(range(4)), NAMES, Preprocessing((32, 32), "RGB"))


def test_what_is_taken_is_said(tmp_path, config, capsys):
    source, _ = source_of(tmp_path)
    console = Console(stderr=True)
    found = with_start(config, source, NAMES, console)
    assert found.start and found.start.name == str(tmp_path) and len(found.start.sha256) == 64
    assert found.supernet.epsilon == 1e-6
    with_start(config, source, ("a", "b"), console)
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"start: {tmp_path}, with its classifier"
    assert second == f"start: {tmp_path}, with a new classifier"


@pytest.mark.parametrize("float_epochs", [1, 0])
def test_training_begins_with_the_network(tmp_path, config, data, float_epochs):
    source, model = source_of(tmp_path)
    config = with_start(config, source, NAMES, Console(quiet=True))
    config = replace(config, float_epochs=float_epochs)
    trainer = Trainer(config, data, tmp_path / "run.pt")
    weight = model.blocks[1].mlp.fc2.weight
    assert torch.equal(trainer.net.block(1).fc2.weight, weight)
    while trainer.step < trainer.steps:
        trainer.advance()
        if trainer.step == 1:
            trainer.save()
    assert not torch.equal(trainer.net.block(1).fc2.weight, weight)
    (tmp_path / "model.safetensors").unlink()  # a run that goes on needs it no more
    again = Trainer(config, data, tmp_path / "run.pt")
    while again.step < again.steps:
        again.advance()
    for (name, value), other in zip(
        again.net.named_parameters(), trainer.net.parameters(), strict=True
    ):
        assert torch.equal(value, other), name


def test_a_missing_network_is_named(config):
    with pytest.raises(UserError, match="vit_tiny_patch16_224: no weights"):
        with_start(config, NetworkSource("vit_tiny_patch16_224"), NAMES, Console(quiet=True))


def test_training_learns_from_a_teacher(tmp_path, config, data, capsys):
    """With all of the share no loss has labels; with none, no loss has the teacher."""
    source, _ = source_of(tmp_path)
    taught = with_teacher(config, source, NAMES, Console(stderr=True))
    assert capsys.readouterr().err == f"teacher: {tmp_path}, of 32 x 32 x 3 pixels\n"
    turned = replace(data, train=replace(data.train, labels=data.train.labels.flip(0)))

    def weights(config, data):
        trainer = Trainer(config, data, tmp_path / "none.pt")
        for _ in range(2):  # before rows are sorted by labels
            trainer.advance()
        return torch.cat([value.detach().flatten() for value in trainer.net.parameters()])

    assert torch.equal(weights(taught, data), weights(taught, turned))
    assert torch.equal(weights(replace(taught, teacher_share=0.0), data), weights(config, data))
    half = replace(taught, teacher_share=0.5)
    assert not torch.equal(weights(half, data), weights(half, turned))
    assert len({each.key(data) for each in (config, taught, half)}) == 3
