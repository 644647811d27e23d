"""Options of the main job: the command line of ``python -m nas.search``."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated

import tyro

from nas.cost.candidates import OBJECTIVES, Objective
from rtl.cli import ENGINE_METAVAR, BoardName, Flag
from rtl.config import ENGINE_HELP
from rtl.errors import UserError
from rtl.model import numerics

SUPERNETS = "supernets"  # folder beside the runs: trained supernets, by the hash of their recipe
DIGITS_NAME = "digits"
ENGINE_SEARCH = "free"  # the value of --engine that asks for a search
DEFAULT_ACT_BITS = (6,)
SIDE_MAX = 4096
ENGINE_OPTION_HELP = (
    f"{ENGINE_HELP} With 'free', the engine is searched, too: the fastest configurations within the"
    " limits of the board compete."
)
OBJECTIVES_HELP = (
    "What to lower beside the cross-entropy, per image. With cycles alone, which the frame rates"
    " limit, candidates lie within 10 % below the limit; others draw them away from it, and the"
    f" first one decides among equals. Choices: {', '.join(OBJECTIVES)} (the last one needs a power"
    " report: python -m nas.calibrate --power)."
)
LIMITS = {
    "images": (0, 1_000_000),
    "seed": (0, 2**32 - 1),
    "split": (0, 4),
    "generations": (0, 10_000),
    "population": (4, 10_000),
    "threads": (1, 256),
    "workers": (1, 256),
    "tolerance": (0, 100),
}


@dataclass(frozen=True)
class SearchOptions:
    """Search a supernet for the most accurate networks that reach given frame rates.

    This trains the supernet, or reuses one that was trained with the same recipe. It searches the
    supernet for each frame rate, exports the winners as integer models, measures their accuracy
    on the test images, and runs some of these on the RTL, where every code is compared with
    the golden model. Each winner is compared with the best uniform network and with the best of as
    many random ones. Without options it does so with handwritten digits, and takes about ten
    minutes on two cores. For images of your own:

    python -m nas.search --data FOLDER

    FOLDER holds a folder of images for each class, or such folders in train, validation and test.
    Parts that are missing are drawn from the training images: OUT/NAME/split.json says which.
    OUT/NAME/task.toml is all that was settled; --task takes such a file, edited as you like.

    The folder OUT/NAME then holds report.html (to look at), summary.json, pareto.png, engine.json,
    one .pulsar file per winner, predictions.json (written before anything is simulated), and
    search.json (the state of the search). An interrupted run continues when the same command is
    given again. The same options give the same results.

    With --engine free, the engine is searched as well. Those configurations compete that fit the
    board and run the networks fastest, and the one with the most accurate winners is taken:
    engine.json. The board must be calibrated; engines beyond the calibrated sizes are left out.

    Without --targets there are three frame rates, chosen by the cycles of random networks: almost
    the largest networks reach the first, the middle ones the second, the smallest the third. To
    choose them yourself:

    python -m nas.search --name fast --targets 15000 25000
    """

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
    """Sizes of the subnets, with --data: digits (small), tiny, small (as of DeiT), or a file."""
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
    board: BoardName = "sim"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Frame rates depend on its clock
    and engine."""
    engine: Annotated[
        str | None,
        tyro.conf.arg(
            metavar=ENGINE_METAVAR,
            help_behavior_hint="(default: the board's)",
            help=ENGINE_OPTION_HELP,
        ),
    ] = None
    act_bits: Annotated[
        tuple[int, ...],
        tyro.conf.arg(metavar="BITS [BITS ...]", help_behavior_hint="(default: 6)"),
    ] = ()
    """Widths of activations to try in an engine search: 4, 6, 8. Each trains a supernet."""
    engine_minutes: Annotated[
        float | None, tyro.conf.arg(metavar="MINUTES", help_behavior_hint="(default: none)")
    ] = None
    """Time limit of an engine search, for each width. It then says how far from proven it is."""
    targets: Annotated[
        tuple[float, ...],
        tyro.conf.arg(metavar="FPS [FPS ...]", help_behavior_hint="(default: three)"),
    ] = ()
    """Frame rates to reach, in frames per second."""
    objectives: Annotated[
        tuple[Objective, ...],
        tyro.conf.arg(metavar="NAME [NAME ...]", help=OBJECTIVES_HELP),
    ] = ("cycles",)
    tolerance: float = 0.0
    """How many points of accuracy a winner may give up to lower the objectives."""
    images: int = 16
    """Number of test images that each winner classifies on the RTL, at most all of them."""
    seed: int = 0
    """Seed of everything random, training included."""
    split: int = 0
    """Split of the digits, 0 to 4: each digit is a test image in one of the five."""
    generations: int = 10
    """Number of generations of the search, for each frame rate."""
    population: int = 16
    """Number of candidates that survive a generation."""
    threads: int = 1
    """Threads of PyTorch. Another number changes the last bits of training, so the results, too."""
    workers: int = 1
    """Processes that compute costs, and read images. More than one pays for networks of ImageNet's
    size."""
    scheduler: Annotated[
        str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="(default: none)")
    ] = None
    """Address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers compute costs."""
    quick: Flag = False
    """Try the command: hardly any training, at most 2 generations of 6. Accuracies mean nothing."""
    restart: Flag = False
    """Discard the content of OUT/NAME first. Trained supernets are kept."""

    def __post_init__(self) -> None:
        name = self.run_name
        if Path(name).name != name or name in ("", "..", SUPERNETS):
            raise UserError(f"--name must be the name of a folder in {self.out}, not {name!r}")
        self._check_task()
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name} must be from {low} to {high}, not {getattr(self, name)}")
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise UserError("--objectives must name at least one, and each once")
        if self.act_bits and self.engine != ENGINE_SEARCH:
            raise UserError("--act-bits needs --engine free: a given engine has its own width")
        if self.engine_minutes is not None:
            if self.engine != ENGINE_SEARCH:
                raise UserError(
                    "--engine-minutes needs --engine free: a given engine is not sought"
                )
            if not self.engine_minutes > 0:
                raise UserError(f"--engine-minutes must be positive, not {self.engine_minutes:g}")
        for bits in self.act_bits:
            if bits not in numerics.ACT_BITS:
                raise UserError(f"--act-bits must be 4, 6 or 8, not {bits}")
        if len(set(self.act_bits)) < len(self.act_bits):
            raise UserError("--act-bits must differ from each other")
        for target in self.targets:
            if not isfinite(target) or target <= 0:
                raise UserError(f"--targets must be positive, not {target:g}")
        if len({f"{target:g}" for target in self.targets}) < len(self.targets):
            raise UserError("--targets must differ from each other within six digits")

    @property
    def run_name(self) -> str:
        """Name of the run: the one that was given, or that of its images."""
        if self.name is not None:
            return self.name
        if self.task:
            return self.task.stem
        return self.data.resolve().name if self.data else DIGITS_NAME

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
        if self.data is None:
            for option, value in sizes.items():
                if value is not None:
                    raise UserError(f"{option} needs --data: the digits and a task have their own")
        for option in ("--image-size", "--patch"):
            value = sizes[option]
            if value is not None and not 1 <= int(value) <= SIDE_MAX:
                raise UserError(f"{option} must be from 1 to {SIDE_MAX}, not {value}")
        if self.data is None and self.task is None:
            if self.skip_unreadable:
                raise UserError("--skip-unreadable needs --data or --task")
        elif self.split:
            raise UserError("--split is of the digits: a folder has its own parts")
