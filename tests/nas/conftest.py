"""A space, images and a training run so small that a test takes a second."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from nas.cost import HardwareTarget
from nas.cost.estimate import Estimate
from nas.cost.networks import NamedNetwork
from nas.data import ImageSet, TrainingData
from nas.space import Space
from nas.supernet.supernet import SupernetConfig
from nas.training.augment import Augmentation
from nas.training.recipe import TrainConfig
from nas.training.train import train_supernet
from rtl.model import Preprocessing

# Tensors this small gain nothing from threads, which wait for one another on a busy machine.
torch.set_num_threads(1)

EXAMPLES = Path(__file__).parents[2] / "examples"
SPACE = Space(
    image=(8, 8, 1),
    patch=4,
    classes=3,
    head_dim=8,
    widths=(8, 16),
    depths=(1, 2),
    heads=(1, 2),
    mlp_ratios=(1, 2),
    fractions=(0.0, 0.5, 1.0),
    row_granularity=4,
)


def _images(count: int, seed: int) -> ImageSet:
    """Bars of three directions under noise, which a tiny network learns in seconds."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 8, 8, 1))
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        where = rng.integers(1, 7)
        if label == 0:
            image[where] += 180
        elif label == 1:
            image[:, where] += 180
        else:
            image[np.arange(8), np.arange(8)] += 180
    return ImageSet(torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels))


@pytest.fixture(scope="session")
def zcu102() -> HardwareTarget:
    return HardwareTarget.load("zcu102")


@pytest.fixture(scope="session")
def deit_tiny(zcu102: HardwareTarget) -> Estimate:
    """Return the costs of DeiT-Ti on board zcu102."""
    return Estimate.of(zcu102, NamedNetwork("deit_tiny").shape_on(zcu102.engine))


@pytest.fixture(scope="session")
def digits() -> Estimate:
    """Return the costs of the example's network on board sim."""
    hardware = HardwareTarget.load("sim")
    network = NamedNetwork(str(EXAMPLES / "digits.pulsar"))
    return Estimate.of(hardware, network.shape_on(hardware.engine))


@pytest.fixture(scope="session")
def tiny_space() -> Space:
    return SPACE


@pytest.fixture(scope="session")
def tiny_data() -> TrainingData:
    preprocessing = Preprocessing(crop=(8, 8), mode="L")
    return TrainingData(_images(192, 0), _images(60, 1), ("row", "column", "line"), preprocessing)


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    return TrainConfig(
        supernet=SupernetConfig(space=SPACE, pixel_mean=(40,), pixel_std=60.0),
        augmentation=Augmentation(rotation=4, shift=0.5, elastic=0.1),
        batch=32,
        float_epochs=8,
        quantized_epochs=8,
        learning_rate=1e-2,
        quantized_learning_rate=1e-2,
    )


@pytest.fixture(scope="session")
def short(tiny_config: TrainConfig) -> TrainConfig:
    """Return a configuration of 6 + 6 steps."""
    return replace(tiny_config, float_epochs=1, quantized_epochs=1)


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tiny_config: TrainConfig, tiny_data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the checkpoint of a finished run."""
    directory = tmp_path_factory.mktemp("supernets")
    return train_supernet(tiny_config, directory, tiny_data, console=Console(quiet=True))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one finished search, ``digits``."""
    from tests.nas.search.runs import run  # all of the search, which most tests do without

    out = tmp_path_factory.mktemp("runs")
    assert run(out) == 0
    return out
