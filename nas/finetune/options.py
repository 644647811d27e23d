"""Options of ``python -m nas.finetune``."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated

import tyro

from rtl.cli import Flag
from rtl.errors import UserError

LIMITS = {"epochs": (1, 100_000), "images": (0, 1_000_000), "workers": (1, 256)}


@dataclass(frozen=True)
class FinetuneOptions:
    """Train the winners of a finished search further, each alone.

    A winner goes on from the supernet's weights, in quantized mode, with the same rows at 8 bits:
    its cycles stay what they are. It learns from the answers of the supernet's largest subnet, or
    from the recipe's teacher. Whether that helped is decided by the cross-entropy on the validation
    images, whose 95 % interval must lie below 0; the test images are looked at afterwards.

    RUN then holds finetuned-FPSfps.json for each winner, with its accuracy before and after and
    their paired difference on the test images, and where it helped finetuned-FPSfps.pulsar.
    Training that was interrupted goes on when the same command is given again.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a finished search, such as runs/digits."""
    target: Annotated[
        float | None, tyro.conf.arg(metavar="FPS", help_behavior_hint="(default: all)")
    ] = None
    """Frame rate of the search whose winner is trained."""
    epochs: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: a third of the second stage's)"),
    ] = None
    """Epochs of training."""
    learning_rate: Annotated[
        float | None,
        tyro.conf.arg(metavar="RATE", help_behavior_hint="(default: that of the second stage)"),
    ] = None
    """Highest learning rate."""
    teacher_share: Annotated[
        float | None,
        tyro.conf.arg(metavar="0 ... 1", help_behavior_hint="(default: the recipe's)"),
    ] = None
    """Share of the teacher's answers beside the labels."""
    images: int = 16
    """Number of test images that a fine-tuned winner classifies on the RTL."""
    device: str = "cpu"
    """Device that trains: cpu, cuda, cuda:1."""
    workers: int = 1
    """Processes that read images."""
    skip_unreadable: Flag = False
    """Leave out images that cannot be read, as the search did."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(f"--{name} must be from {low} to {high}, not {value}")
        rate, share = self.learning_rate, self.teacher_share
        if rate is not None and not (isfinite(rate) and rate > 0):
            raise UserError(f"--learning-rate must be positive, not {rate:g}")
        if share is not None and not 0 <= share <= 1:
            raise UserError(f"--teacher-share must be from 0 to 1, not {share:g}")
