"""Options of the main job: the command line of ``python -m nas.search``."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from rtl.errors import UserError

SUPERNETS = "supernets"  # beside the runs: trained supernets, by the hash of their configuration
TEST_PICTURES = 1000
LEAST_POPULATION = 4


@dataclass(frozen=True)
class Options:
    """Search the digits supernet for the most accurate networks that reach given frame rates.

    Trains the supernet (or reuses one that was trained with the same configuration), searches it
    for each frame rate, exports the winners as integer models, measures their accuracy on the
    1,000 test pictures, and runs some of these on the RTL, code by code against golden. Without
    arguments this takes about ten minutes on two cores.

    Writes to OUT/NAME: summary.json, pareto.png, one .pulsar file per winner, predictions.json
    (made before anything is simulated), search.json (what the search knows). An interrupted run
    continues when the same command is given again. Equal options give equal results.
    """

    name: str = "digits"
    """Name of the run, and of its folder."""
    out: Path = Path("runs")
    """Folder of all runs. Trained supernets lie in OUT/supernets and serve every run."""
    board: str = "sim"
    """Board, by name or path of a .toml file: clock and engine decide what a frame rate asks."""
    engine: str | None = None
    """Engine instead of the board's default one: tiny, ulx3s or zcu102."""
    targets: tuple[float, ...] = ()
    """Frame rates to reach, in frames per second. By default three, from the predicted cycles of
    the search space: one that lets almost the largest networks through, one for the middle, one
    for the smallest."""
    images: int = 16
    """Test pictures that each winner classifies on the RTL (0 to 1000)."""
    seed: int = 0
    """Decides everything random, training included."""
    generations: int = 10
    """Generations of the search, per frame rate."""
    population: int = 16
    """Candidates that survive a generation."""
    threads: int = 1
    """Threads of PyTorch. They change the last bits of training, so the number is fixed, not that
    of the cores: equal options give equal results anywhere."""
    quick: bool = False
    """Try the command: hardly any training, at most 2 generations of 6. Accuracies mean nothing."""
    restart: bool = False
    """Discard what OUT/NAME holds. (Trained supernets are kept.)"""

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name == SUPERNETS:
            raise UserError(f"--name must be the name of a folder in {self.out}, not {self.name!r}")
        if not 0 <= self.images <= TEST_PICTURES:
            raise UserError(f"--images must be from 0 to {TEST_PICTURES}, not {self.images}")
        least = {"seed": 0, "generations": 0, "population": LEAST_POPULATION, "threads": 1}
        for name, limit in least.items():
            if getattr(self, name) < limit:
                raise UserError(f"--{name} must be at least {limit}, not {getattr(self, name)}")
        for target in self.targets:
            if not isfinite(target) or target <= 0:
                raise UserError(f"--targets must be positive, not {target:g}")
        if len(set(self.targets)) < len(self.targets):
            raise UserError("--targets must differ from each other")
