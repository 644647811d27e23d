"""Which engines a run searches: the one that was named, or those of a grid that fit the board."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console

from nas.cost import HardwareTarget
from nas.cost.engine_search import Choice, FreeEngine, choose
from nas.cost.estimate import resources_of
from nas.search.options import FREE, FREE_ACT_BITS, Options
from nas.search.targets import default_targets, fastest_rate, reaches, require_reachable
from nas.space import Space
from rtl.board import load_board
from rtl.build.synthesis import Resources
from rtl.console import DETAIL, progress_bars
from rtl.errors import UserError

NO_BINDING = "no limit of the board keeps a faster engine out"


@dataclass(frozen=True, eq=False)
class Lineup:
    """Engines that share a supernet.

    Parameters
    ----------
    engines : tuple of HardwareTarget
        Those that are predicted to be faster in front.
    space : Space
        In row tiles that are whole ones of each engine.
    choice : Choice or None
        Where the engines come from, if they are free.
    """

    engines: tuple[HardwareTarget, ...]
    space: Space
    choice: Choice | None = None

    @classmethod
    def of(
        cls, engines: Sequence[HardwareTarget], space: Space, choice: Choice | None = None
    ) -> "Lineup":
        """Engines for a space, whose row tiles they decide about."""
        row_lanes = max(hardware.engine.row_lanes for hardware in engines)
        return cls(tuple(engines), space.tiled(row_lanes), choice)

    @property
    def act_bits(self) -> int:
        return self.engines[0].engine.act_bits

    @property
    def labels(self) -> list[str]:
        """What to say behind a target about each engine."""
        several = len(self.engines) > 1
        return [f", {hardware.engine.name}" if several else "" for hardware in self.engines]

    def report(self, hardware: HardwareTarget) -> dict[str, Any]:
        """A summary's part on board and engine."""
        board, resources = hardware.board, self.resources(hardware)
        return {
            "board": board.name,
            "clock_hz": board.clock_hz,
            "engine": hardware.engine.name,
            "engine_sizes": asdict(hardware.engine),
            "resources": asdict(resources) if resources else None,
            "limits": board.limits.model_dump(),
            "free": self.choice is not None,
            "binding": self.binding(hardware),
            "lanes": self.choice.lanes if self.choice else 0,
            "lanes_left_out": self.choice.left_out if self.choice else 0,
        }

    def resources(self, hardware: HardwareTarget) -> Resources | None:
        """Predicted ones of an engine; None where the board is not calibrated."""
        if self.choice is None:
            return resources_of(hardware.engine, hardware.board)
        return self._free(hardware).resources

    def share(self, hardware: HardwareTarget) -> float:
        """Mean share of the board's limits that an engine takes; 0 for a given engine."""
        return self._free(hardware).share if self.choice else 0.0

    def binding(self, hardware: HardwareTarget) -> str | None:
        """Which limit keeps faster engines out, if one does."""
        binding = self.choice and self.choice.binding(self._free(hardware))
        return str(binding) if binding else None

    @property
    def left_out(self) -> str | None:
        """Which engines were not considered, if any."""
        return self.choice and left_out(self.choice.left_out, self.choice.lanes)

    def reaching(self, targets: Sequence[float]) -> "Lineup | None":
        """Without the engines on which the smallest subnet is too slow; None if all are."""
        able = [each for each in self.engines if reaches(targets, each, self.space)]
        return replace(self, engines=tuple(able)) if able else None

    def _free(self, hardware: HardwareTarget) -> FreeEngine:
        return next(each for each in self.choice.engines if each.engine == hardware.engine)


def left_out(lanes: int, of: int) -> str | None:
    """How many lanes of a grid were not considered; None if all were."""
    if not lanes:
        return None
    return f"{lanes:,} of {of:,} lanes were left out: their resources would be extrapolated"


def lineups_of(
    options: Options, space: Space, console: Console
) -> tuple[tuple[Lineup, ...], tuple[float, ...]]:
    """Engines, by width of their activations, and the frame rates to reach.

    Raises
    ------
    UserError
        If an option is wrong, no engine fits the board, or none reaches the frame rates.
    """
    if options.engine != FREE:
        lineup = Lineup.of([HardwareTarget.load(options.board, options.engine)], space)
        targets = options.targets or default_targets(lineup.engines[0], lineup.space)
        require_reachable(targets, lineup.engines[0], lineup.space)
        return (lineup,), targets
    lineups = [_free(options, space, bits, console) for bits in options.act_bits or FREE_ACT_BITS]
    best = min(lineups, key=lambda lineup: lineup.choice.engines[0].log_cycles)
    targets = options.targets or default_targets(best.engines[0], best.space)
    able = [found for lineup in lineups if (found := lineup.reaching(targets))]
    if not able:
        raise _out_of_reach(targets, lineups)
    return tuple(able), targets


def _free(options: Options, space: Space, act_bits: int, console: Console) -> Lineup:
    board = load_board(options.board)
    with progress_bars(DETAIL, console=console) as progress:
        task = progress.add_task(f"engines of {act_bits} bits", total=None, detail="")

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        choice = choose(board, space, act_bits, advance=advance)
    return Lineup.of([HardwareTarget(board, each.engine) for each in choice.engines], space, choice)


def _out_of_reach(targets: Sequence[float], lineups: Sequence[Lineup]) -> UserError:
    """What the fastest engine can do, what keeps faster ones out, and what was not considered."""
    rate, lineup, hardware = max(
        (
            (fastest_rate(hardware, lineup.space), lineup, hardware)
            for lineup in lineups
            for hardware in lineup.engines
        ),
        key=lambda each: each[0],
    )
    reasons = lineup.binding(hardware) or NO_BINDING, lineup.left_out
    return UserError(
        f"no engine reaches {max(targets):g} frames per second on board '{hardware.board.name}':"
        f" the fastest subnet has {rate:g}; {'; '.join(filter(None, reasons))}"
    )
