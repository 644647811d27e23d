"""Options of the main job: the command line of ``python -m nas.search``."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated

import tyro

from nas.cost.objectives import OBJECTIVES, Objective
from rtl.cli import ENGINE_METAVAR, BoardName, Flag
from rtl.config import ENGINE_HELP
from rtl.errors import UserError
from rtl.model import numerics

SUPERNETS = "supernets"  # beside the runs: trained supernets, by the hash of their configuration
TEST_PICTURES = 1000
FREE = "free"  # the engine's name that stands for any
FREE_ACT_BITS = (6,)
OBJECTIVES_HELP = (
    "What to keep low beside the error, per image; the first decides among equally accurate"
    f" networks: {', '.join(OBJECTIVES)} (this one after python -m nas.calibrate --power)."
)
LIMITS = {
    "images": (0, TEST_PICTURES),
    "seed": (0, 2**32 - 1),
    "generations": (0, 10_000),
    "population": (4, 10_000),
    "threads": (1, 256),
    "tolerance": (0, 100),
}


@dataclass(frozen=True)
class Options:
    """Search the digits supernet for the most accurate networks that reach given frame rates.

    Trains the supernet (or reuses one that was trained with the same configuration), searches it
    for each frame rate, exports the winners as integer models, measures their accuracy on the
    1,000 test pictures, and runs some of these on the RTL, code by code against golden. Without
    arguments this takes about ten minutes on two cores.

    Writes to OUT/NAME: summary.json, pareto.png, engine.json, one .pulsar file per winner,
    predictions.json (made before anything is simulated), search.json (what the search knows). An
    interrupted run continues when the same command is given again. Equal options give equal
    results.

    With --engine free, all engines of a grid that respect the board's limits compete, and the one
    with the most accurate winners is taken: engine.json. The board must be calibrated; engines
    beyond those of its calibration are left out.

    Without --targets there are three, from the predicted cycles of random networks: one that lets
    almost the largest through, one for the middle, one for the smallest. With them, for example:

    python -m nas.search --name fast --targets 15000 25000
    """

    name: str = "digits"
    """Name of the run, and of its folder."""
    out: Path = Path("runs")
    """Folder of all runs. Trained supernets lie in OUT/supernets and serve every run."""
    board: BoardName = "sim"
    """Board: sim, ulx3s, zcu102, or a file. Its clock and engine decide about frame rates."""
    engine: Annotated[
        str | None,
        tyro.conf.arg(
            metavar=ENGINE_METAVAR,
            help_behavior_hint="(default: the board's)",
            help=f"{ENGINE_HELP} Or free: the engine is searched, too, within the board's limits.",
        ),
    ] = None
    act_bits: Annotated[
        tuple[int, ...],
        tyro.conf.arg(metavar="BITS [BITS ...]", help_behavior_hint="(default: 6)"),
    ] = ()
    """Widths of activations to try with a free engine: 4, 6, 8; each trains a supernet."""
    targets: Annotated[
        tuple[float, ...],
        tyro.conf.arg(metavar="FPS [FPS ...]", help_behavior_hint="(default: three, from cycles)"),
    ] = ()
    """Frame rates to reach, in frames per second."""
    objectives: Annotated[
        tuple[Objective, ...],
        tyro.conf.arg(metavar="NAME [NAME ...]", help=OBJECTIVES_HELP),
    ] = ("cycles",)
    tolerance: float = 0.0
    """Accuracy, in points, that a winner may lack to the best network if it is lower there."""
    images: int = 16
    """Test pictures that each winner classifies on the RTL (0 to 1000)."""
    seed: int = 0
    """Decides everything random, training included."""
    generations: int = 10
    """Generations of the search, per frame rate."""
    population: int = 16
    """Candidates that survive a generation."""
    threads: int = 1
    """Threads of PyTorch; another number changes the last bits of training, hence the results."""
    quick: Flag = False
    """Try the command: hardly any training, at most 2 generations of 6. Accuracies mean nothing."""
    restart: Flag = False
    """Discard what OUT/NAME holds. (Trained supernets are kept.)"""

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name in ("", "..", SUPERNETS):
            raise UserError(f"--name must be the name of a folder in {self.out}, not {self.name!r}")
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name} must be from {low} to {high}, not {getattr(self, name)}")
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise UserError("--objectives must name at least one, and each once")
        if self.act_bits and self.engine != FREE:
            raise UserError("--act-bits needs --engine free: a given engine has its own width")
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
