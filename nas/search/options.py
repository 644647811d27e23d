"""Options of the main job: the command line of ``python -m nas.search``."""

from dataclasses import dataclass
from math import isfinite
from typing import Annotated

import tyro

from nas.cost.candidates import OBJECTIVES, Objective
from nas.task.options import TaskOptions
from rtl.cli import ENGINE_METAVAR, BoardName, Flag
from rtl.config import ENGINE_HELP
from rtl.errors import UserError
from rtl.model import numerics

ENGINE_SEARCH = "free"  # the value of --engine that asks for a search
DEFAULT_ACT_BITS = (6,)
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
    "generations": (0, 10_000),
    "population": (4, 10_000),
    "tolerance": (0, 100),
}


@dataclass(frozen=True)
class SearchOptions(TaskOptions):
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
    generations: int = 10
    """Number of generations of the search, for each frame rate."""
    population: int = 16
    """Number of candidates that survive a generation."""
    scheduler: Annotated[
        str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="(default: none)")
    ] = None
    """Address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers compute costs."""
    restart: Flag = False
    """Discard the content of OUT/NAME first. Trained supernets are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_within(LIMITS)
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
