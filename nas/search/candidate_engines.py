"""Engines that a run considers: the one that was named, or the best of an engine search."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from rich.console import Console

from nas.cost import ExactCosts, HardwareTarget
from nas.cost.engine_search.grid import CostedEngine
from nas.cost.engine_search.search import Choice, choose
from nas.cost.estimate import resources_of
from nas.search.options import DEFAULT_ACT_BITS, ENGINE_SEARCH, SearchOptions
from nas.search.targets import default_targets, fastest_rate, reaches, require_reachable
from nas.space import Space
from rtl.board import load_board
from rtl.build.synthesis import Resources
from rtl.console import DETAIL, progress_bars
from rtl.errors import UserError

NO_BINDING = "no limit of the board keeps a faster engine out"


@dataclass(frozen=True, eq=False)
class CandidateEngines:
    """Engines that share a supernet.

    Parameters
    ----------
    engines : tuple of HardwareTarget
        The one that is predicted to be the fastest comes first.
    space : Space
        Its row tiles are whole row tiles of each engine.
    choice : Choice or None
        The result of the engine search; None for a given engine.
    """

    engines: tuple[HardwareTarget, ...]
    space: Space
    choice: Choice | None = None

    @classmethod
    def of(
        cls, engines: Sequence[HardwareTarget], space: Space, choice: Choice | None = None
    ) -> "CandidateEngines":
        """Take engines for a space; they decide about its row tiles."""
        row_lanes = max(hardware.engine.row_lanes for hardware in engines)
        return cls(tuple(engines), space.tiled(row_lanes), choice)

    @property
    def act_bits(self) -> int:
        return self.engines[0].engine.act_bits

    @property
    def labels(self) -> list[str]:
        """Name each engine behind a frame rate; empty for a single engine."""
        several = len(self.engines) > 1
        return [f", {hardware.engine.name}" if several else "" for hardware in self.engines]

    def report(self, hardware: HardwareTarget) -> dict[str, Any]:
        """Describe board and engine, for the summary."""
        board, resources = hardware.board, self.resources(hardware)
        return {
            "board": board.name,
            "clock_hz": board.clock_hz,
            "engine": hardware.engine.name,
            "engine_sizes": hardware.engine.to_json(),
            "resources": asdict(resources) if resources else None,
            "limits": board.limits.model_dump(),
            "engine_searched": self.choice is not None,
            "binding": self.binding(hardware),
            "lanes": self.choice.lanes if self.choice else 0,
            "lanes_left_out": self.choice.left_out if self.choice else 0,
            "engine_gap": self.choice.gap if self.choice else None,
        }

    def resources(self, hardware: HardwareTarget) -> Resources | None:
        """Predict the resources of an engine; None where the board is not calibrated."""
        if self.choice is None:
            return resources_of(hardware.engine, hardware.board)
        return self._found(hardware).resources

    def share(self, hardware: HardwareTarget) -> float:
        """Return the mean share of the board's limits that an engine takes; 0 if it was given."""
        return self._found(hardware).share if self.choice else 0.0

    def binding(self, hardware: HardwareTarget) -> str | None:
        """Name the limit that keeps faster engines out; None if there is none."""
        binding = self.choice and self.choice.binding(self._found(hardware))
        return str(binding) if binding else None

    @property
    def left_out(self) -> str | None:
        """Say how many engines were not considered; None if all were."""
        return self.choice and left_out(self.choice.left_out, self.choice.lanes)

    def reaching(self, targets: Sequence[float]) -> "CandidateEngines | None":
        """Keep the engines on which the smallest subnet is fast enough; None if there is none."""
        able = [each for each in self.engines if reaches(targets, each, self.space)]
        return replace(self, engines=tuple(able)) if able else None

    def _found(self, hardware: HardwareTarget) -> CostedEngine:
        return next(each for each in self.choice.engines if each.engine == hardware.engine)


def left_out(lanes: int, of: int) -> str | None:
    """Say how many lanes of a grid were not considered; None if all were."""
    if not lanes:
        return None
    return f"{lanes:,} of {of:,} lanes were left out: their resources would be extrapolated"


def candidate_engines(
    options: SearchOptions, space: Space, costs: ExactCosts, console: Console
) -> tuple[tuple[CandidateEngines, ...], tuple[float, ...]]:
    """Choose the engines for each width of activations, and the frame rates to reach.

    Raises
    ------
    UserError
        If an option is wrong, no engine fits the board, or none reaches the frame rates.
    """
    if options.engine != ENGINE_SEARCH:
        hardware = HardwareTarget.load(options.board, options.engine)
        given = CandidateEngines.of([hardware], space)
        targets = options.targets or default_targets(hardware, given.space, costs)
        require_reachable(targets, hardware, given.space)
        return (given,), targets
    searched = [
        _search_engines(options, space, bits, costs, console)
        for bits in options.act_bits or DEFAULT_ACT_BITS
    ]
    best = min(searched, key=lambda found: found.choice.engines[0].log_cycles)
    targets = options.targets or default_targets(best.engines[0], best.space, costs)
    able = [reaching for found in searched if (reaching := found.reaching(targets))]
    if not able:
        raise _out_of_reach(targets, searched)
    return tuple(able), targets


def _search_engines(
    options: SearchOptions, space: Space, act_bits: int, costs: ExactCosts, console: Console
) -> CandidateEngines:
    board = load_board(options.board)
    seconds = inf if options.engine_minutes is None else 60 * options.engine_minutes
    with progress_bars(DETAIL, console=console) as progress:
        task = progress.add_task(f"engines of {act_bits} bits", total=None, detail="")

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        choice = choose(board, space, act_bits, costs.cycles, advance=advance, seconds=seconds)
    engines = [HardwareTarget(board, each.engine) for each in choice.engines]
    return CandidateEngines.of(engines, space, choice)


def _out_of_reach(targets: Sequence[float], searched: Sequence[CandidateEngines]) -> UserError:
    """Say what the fastest engine reaches, and what keeps faster ones out."""
    rate, found, hardware = max(
        (
            (fastest_rate(hardware, found.space), found, hardware)
            for found in searched
            for hardware in found.engines
        ),
        key=lambda each: each[0],
    )
    reasons = found.binding(hardware) or NO_BINDING, found.left_out
    return UserError(
        f"no engine reaches {max(targets):g} frames per second on board '{hardware.board.name}':"
        f" the fastest subnet has {rate:g}; {'; '.join(filter(None, reasons))}"
    )
