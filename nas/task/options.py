"""Options of the commands that train: which task, where its results go, on what it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rtl.cli import Flag
from rtl.errors import UserError

SUPERNETS = "supernets"  # folder beside the runs: trained supernets, by the hash of their recipe
DIGITS_NAME = "digits"
DIGITS_SPACES = DIGITS_NAME, "digits-keep"
SIDE_MAX = 4096
TASK_LIMITS = {
    "seed": (0, 2**32 - 1),
    "split": (0, 4),
    "threads": (1, 256),
    "workers": (1, 256),
}


@dataclass(frozen=True)
class TaskOptions:
    """Choice of a task: a folder's, a file's, or the digits."""

    data: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: the digits)")
    ] = None
    """Images to train with: a folder for each class."""
    task: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """Images, space and recipe from a file, such as the task.toml of an earlier run."""
    space: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME|FILE.toml", help_behavior_hint="(default: digits)"),
    ] = None
    """Sizes of the subnets: digits (small), digits-keep (whose blocks may keep some of the patches,
    chosen image by image), and with --data tiny, small (as of DeiT), or a file."""
    image_size: Annotated[
        int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="(default: the images')")
    ] = None
    """Height and width that images are brought to, with --data: at most 224 by default."""
    patch: Annotated[
        int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="(default: by the size)")
    ] = None
    """Height and width of a patch, with --data."""
    skip_unreadable: Flag = False
    """Leave out images that cannot be read, instead of refusing the folder."""
    start: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE|FOLDER|NAME", help_behavior_hint="(default: random weights)"),
    ] = None
    """Trained network to begin training with, of the sizes of the largest subnet: whatever
    python -m nas.quantize takes."""
    start_checkpoint: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")
    ] = None
    """Weights of --start, where that is timm's name of a model."""
    teacher: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE|FOLDER|NAME", help_behavior_hint="(default: none)"),
    ] = None
    """Trained network with the same classes, whose answers take the place of the labels: any of
    timm's, or what python -m nas.quantize takes."""
    teacher_checkpoint: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")
    ] = None
    """Weights of --teacher, where that is timm's name of a model."""
    teacher_share: Annotated[
        float | None, tyro.conf.arg(metavar="0 ... 1", help_behavior_hint="(default: 1)")
    ] = None
    """Share of --teacher's answers beside the labels."""
    name: Annotated[
        str | None, tyro.conf.arg(help_behavior_hint="(default: digits, or the folder's)")
    ] = None
    """Name of the run, and of its folder."""
    out: Path = Path("runs")
    """Folder of all runs. Trained supernets are kept in OUT/supernets and serve every run."""
    seed: int = 0
    """Seed of everything random, training included."""
    split: int = 0
    """Split of the digits, 0 to 4: each digit is a test image in one of the five."""
    threads: int = 1
    """Threads of PyTorch. Another number changes the last bits of training, so the results, too."""
    workers: int = 1
    """Processes that compute costs, score subnets and read images. With more than one, a second one
    trains, too: on two idle cores the quantized stage takes 0.6 of its time. The results are the
    same."""
    device: Annotated[str, tyro.conf.arg(metavar="cpu|cuda|cuda:N")] = "cpu"
    """Device that trains and evaluates. A CPU gives equal bytes each time, a GPU nearly so."""
    quick: Flag = False
    """Try the command: hardly any training, at most 2 generations of 6. Accuracies mean nothing."""

    def __post_init__(self) -> None:
        name = self.run_name
        if Path(name).name != name or name in ("", "..", SUPERNETS):
            raise UserError(f"--name must be the name of a folder in {self.out}, not {name!r}")
        self._check_task()
        self.require_within(TASK_LIMITS)

    def require_within(self, limits: Mapping[str, tuple[float, float]]) -> None:
        """Refuse options that are beyond their limits."""
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name} must be from {low} to {high}, not {getattr(self, name)}")

    @property
    def of_digits(self) -> bool:
        """Whether the task is that of the digits."""
        return self.data is None and self.task is None

    @property
    def run_name(self) -> str:
        """Name of the run: the one that was given, or that of its images."""
        if self.name is not None:
            return self.name
        if self.task:
            return self.task.stem
        return self.data.resolve().name if self.data else self.digits_space

    @property
    def digits_space(self) -> str:
        """Name of the digits' space."""
        return (self.space or DIGITS_NAME).lower()

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.out / self.run_name

    @property
    def supernets(self) -> Path:
        """Folder of the trained supernets of all runs."""
        return self.out / SUPERNETS

    def _check_task(self) -> None:
        """Refuse options that do not go together."""
        for option, needed in (("start_checkpoint", "start"), ("teacher_checkpoint", "teacher")):
            if getattr(self, option) and not getattr(self, needed):
                flag = option.replace("_", "-")
                raise UserError(f"--{flag} needs --{needed}: timm's name of the model")
        if self.teacher_share is not None:
            if not self.teacher and not self.task:
                raise UserError("--teacher-share needs --teacher")
            if not 0 <= self.teacher_share <= 1:
                raise UserError(f"--teacher-share must be from 0 to 1, not {self.teacher_share:g}")
        if self.data and self.task:
            raise UserError("--data and --task exclude each other: a task names its folder")
        sizes = {"--space": self.space, "--image-size": self.image_size, "--patch": self.patch}
        if self.of_digits and self.digits_space in DIGITS_SPACES:
            del sizes["--space"]
        if self.data is None:
            for option, value in sizes.items():
                if value is not None:
                    raise UserError(
                        f"{option} needs --data: the digits (--space"
                        f" {' or '.join(DIGITS_SPACES)}) and a task have their own"
                    )
        for option in ("--image-size", "--patch"):
            value = sizes[option]
            if value is not None and not 1 <= int(value) <= SIDE_MAX:
                raise UserError(f"{option} must be from 1 to {SIDE_MAX}, not {value}")
        if self.of_digits:
            if self.skip_unreadable:
                raise UserError("--skip-unreadable needs --data or --task")
        elif self.split:
            raise UserError("--split is of the digits: a folder has its own parts")
