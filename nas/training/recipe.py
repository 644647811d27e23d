"""Recipe of a training run, and the key under which the run is kept."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.data import TrainingData
from nas.space import Arch
from nas.supernet.supernet import SupernetConfig
from nas.training.augment import Augmentation
from nas.warm.source import NetworkSource
from rtl.files import sha256_of

RECIPE = 5  # raise when the code of a step trains differently from the same configuration
LATER = {
    "sort_channels": True,
    "elastic_epochs": 0,
    "chained": False,
    "start": None,
    "teacher": None,
    "teacher_share": 1.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "drop_path": 0.0,
    "clip_grad": 0.0,
}
"""Options that came after runs had been kept: at these values they are not in the key."""
LATER_SUPERNET = {"switched_gains": False, "epsilon": 1e-6}
"""Likewise those of :class:`nas.supernet.supernet.SupernetConfig`."""
LATER_SPACE = {"pool": "token", "keeps": ()}
"""Likewise those of :class:`nas.space.Space`."""
LATER_BLOCK = {"keep": None}
"""Likewise those of :class:`nas.space.BlockArch`."""
LATER_AUGMENTATION = {
    "mirror": False,
    "crop": 1.0,
    "policy": "",
    "colour": 0.0,
    "erasing": 0.0,
}
"""Likewise those of :class:`nas.training.augment.Augmentation`."""


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a training run: with the images, it decides every bit of the result.

    ``sort_channels``, ``elastic_epochs`` and ``chained`` are set by :mod:`nas.studies.supernet`
    alone, which compares recipes.

    Parameters
    ----------
    supernet : SupernetConfig
    augmentation : Augmentation
    seed : int
    alone : Arch, optional
        Subnet to train by itself, in both stages and without a teacher, in the place of them all.
    batch : int
        Images per step.
    float_epochs, quantized_epochs : int
        Length of the two stages.
    learning_rate, quantized_learning_rate : float
        Highest rate of each stage's one-cycle schedule.
    scale_rate : float
        Rate of scales and steps over that of the weights.
    weight_decay : float
        Decay of the weights; biases, scales and the rest have none.
    label_smoothing : float
    random_subnets : int
        Random subnets per step, beside the largest and the smallest.
    distillation : float
        Share of the largest subnet's answers in the loss of the others; the labels' is the rest.
    average : float
        Decay of the moving average of all parameters over the quantized stage, the result.
    threads : int
        Threads of PyTorch. They decide the last bits of every sum, hence belong here. One is nearly
        as fast as two for tensors of this size, and many times faster on a busy machine.
    sort_channels : bool
        Whether channels and heads are sorted by their importance before they become elastic.
    elastic_epochs : int
        Epochs at the end of the float stage in which random subnets are trained, too.
    chained : bool
        Whether each subnet of a step learns from the next larger one instead of the largest.
    start : NetworkSource, optional
        Network whose weights training begins with; the float stage may then have no epochs.
    teacher : NetworkSource, optional
        Network whose answers on the same images take the place of the labels.
    teacher_share : float
        Share of its answers in that place; the labels' is the rest.
    mixup, cutmix : float
        Parameter of the beta distribution from which a batch's share of mixture is drawn
        (:class:`timm.data.Mixup`); 0 mixes no images. With both, each step takes one of them.
    drop_path : float
        Rate at which the largest subnet's last block is left out; from 0 in the first, in line.
    clip_grad : float
        Largest norm of a step's gradients; 0 does not limit it.
    """

    supernet: SupernetConfig
    augmentation: Augmentation
    seed: int = 0
    alone: Arch | None = None
    batch: int = 64
    float_epochs: int = 30
    quantized_epochs: int = 30
    learning_rate: float = 2e-3
    quantized_learning_rate: float = 2e-3
    scale_rate: float = 0.5
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    random_subnets: int = 2
    distillation: float = 1.0
    average: float = 0.99
    threads: int = 1
    sort_channels: bool = True
    elastic_epochs: int = 0
    chained: bool = False
    start: NetworkSource | None = None
    teacher: NetworkSource | None = None
    teacher_share: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    drop_path: float = 0.0
    clip_grad: float = 0.0

    def __post_init__(self) -> None:
        for name in ("batch", "float_epochs", "quantized_epochs", "threads"):
            least = 0 if self.start and name == "float_epochs" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.elastic_epochs <= self.float_epochs:
            raise ValueError(
                f"elastic_epochs must be 0 ... {self.float_epochs}, those of the float stage, not"
                f" {self.elastic_epochs}"
            )

    def shortened(self) -> "TrainConfig":
        """Return the configuration with at most an epoch in each stage, to try a command."""
        names = "float_epochs", "quantized_epochs", "elastic_epochs"
        return replace(self, **{name: min(getattr(self, name), 1) for name in names})

    def key(self, data: TrainingData) -> str:
        """Hash of configuration, recipe and all of the data: 64 hexadecimal digits."""
        return key_of(asdict(self), data)


def key_of(config: Mapping[str, Any], data: TrainingData) -> str:
    """Hash a configuration's plain values, as a checkpoint keeps them, as :meth:`TrainConfig.key`.

    Read back as a :class:`TrainConfig`, they might be of other types, 2.0 where there was 2.
    """
    about = {"classes": data.class_names, "preprocessing": asdict(data.preprocessing)}
    values = deepcopy(dict(config))
    supernet, alone = values["supernet"], values.get("alone") or {"blocks": ()}
    for part, later in (
        (values, LATER),
        (supernet, LATER_SUPERNET),
        (supernet["space"], LATER_SPACE),
        (values["augmentation"], LATER_AUGMENTATION),
        *((block, LATER_BLOCK) for block in alone["blocks"]),
    ):
        for name, value in later.items():
            if part.get(name, value) == value:
                part.pop(name, None)
    for name in ("start", "teacher"):
        if network := values.get(name):
            values[name] = network["sha256"]
    text = json.dumps({"recipe": RECIPE, **about, **values}, sort_keys=True)
    return sha256_of(text, *data.train.content(), *data.validation.content())
