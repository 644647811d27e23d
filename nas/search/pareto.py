"""The Pareto front of the candidates, and its plot."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, NullFormatter, StrMethodFormatter

from nas.cost.candidates import Objective
from nas.search.evolution import Candidate
from nas.search.ranking import Outcome, Pick
from rtl.files import atomic_write

PICKS: tuple[tuple[str, str, str, Callable[[Outcome], Pick]], ...] = (
    ("best random", "v", "C2", lambda outcome: outcome.random),
    ("best uniform", "s", "C1", lambda outcome: outcome.uniform),
    ("winners", "*", "C3", lambda outcome: outcome.winner),
)
"""Label, marker and colour of the points that were chosen."""
Value = Callable[[Candidate], float]
TICKS = (1, 1.5, 2, 3, 5, 7)  # labelled ticks of a decade
SIZE, NARROWER = (8, 5), 6.5  # inches: a single panel, the width of one of several
AXES: dict[Objective, tuple[str, str]] = {
    "cycles": ("cycles", ""),
    "array_cycles": ("cycles in which the array multiplies", ""),
    "memory_bytes": ("bytes from and to memory", "B"),
    "scratchpad_bytes": ("bytes from and to scratchpads", "B"),
    "energy_joules": ("dynamic energy", "J"),
}
"""Label and unit of each axis."""


def cycles(candidate: Candidate) -> float:
    """Return the cycles of an image."""
    return candidate.cycles


def loss(candidate: Candidate) -> float:
    """Return the cross-entropy on the search images, in nats."""
    return candidate.score.cross_entropy


def front(candidates: Sequence[Candidate], cost: Value = cycles) -> list[Candidate]:
    """Return the candidates that no cheaper one equals in cross-entropy, the cheapest first."""
    result: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (cost(c), loss(c))):
        if not result or loss(candidate) < loss(result[-1]):
            result.append(candidate)
    return result


def plot(
    path: Path,
    found: Sequence[Candidate],
    drawn: Sequence[Candidate],
    outcomes: Sequence[Outcome],
    targets: Sequence[float],
    clock_hz: float,
    title: str,
    objectives: Sequence[Objective] = ("cycles",),
) -> None:
    """Plot cross-entropy over frame rate, and over every other objective in a panel of its own.

    The panels show what the search and random draws evaluated, the Pareto front of the search, the
    winners and their baselines; the first one also shows the frame rates that were asked for.

    Parameters
    ----------
    path : Path
        PNG file; it appears whole or not at all.
    found, drawn : sequence of Candidate
        All subnets that the search evaluated, and the random ones.
    outcomes : sequence of Outcome
        Winners and baselines.
    targets : sequence of float
        Frame rates, in frames per second.
    clock_hz : float
    title : str
    objectives : sequence of Objective
        Names of the objectives of the candidates.
    """
    others = [place for place, name in enumerate(objectives) if name != "cycles"]
    size = (NARROWER * (1 + len(others)), SIZE[1]) if others else SIZE
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    first, *more = figure.subplots(1, 1 + len(others), squeeze=False, sharey=True)[0]

    # From fast to slow: an accuracy holds for every lower rate, up to the next better one.
    rates = StrMethodFormatter("{x:,.0f}")
    _panel(first, found, drawn, outcomes, cycles, lambda c: clock_hz / c.cycles, rates)
    first.set_xlabel("frames per second, predicted")
    for target in targets:
        first.axvline(target, color="0.5", linestyle=":", linewidth=1)
    for axes, place in zip(more, others, strict=True):
        cost = _objective(place)
        label, unit = AXES[objectives[place]]
        _panel(axes, found, drawn, outcomes, cost, cost, EngFormatter(unit))
        axes.set_xlabel(f"{label}, per image, predicted")
    first.set_ylabel("cross-entropy on the search images, nats")
    first.set_yscale("log")
    first.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    first.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    first.invert_yaxis()
    (figure.suptitle if others else first.set_title)(title)
    first.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)


def _objective(place: int) -> Value:
    return lambda candidate: candidate.objectives[place]


def _panel(
    axes: Axes,
    found: Sequence[Candidate],
    drawn: Sequence[Candidate],
    outcomes: Sequence[Outcome],
    cost: Value,
    x: Value,
    numbers: Formatter,
) -> None:
    """Plot cross-entropy over ``x``, with the front by ``cost``."""

    def points(some: Sequence[Candidate]) -> tuple[list[float], list[float]]:
        return [x(c) for c in some], [loss(c) for c in some]

    axes.plot(*points(drawn), ".", color="0.85", label=f"{len(drawn)} random draws")
    axes.plot(*points(found), ".", color="C0", alpha=0.4, label=f"{len(found)} candidates")
    axes.step(*points(front(found, cost)), where="post", color="C0", label="Pareto front")
    for label, marker, color, pick in PICKS:
        picks = [pick(outcome).candidate for outcome in outcomes]
        axes.plot(*points(picks), marker, color=color, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=TICKS))
    axes.xaxis.set_major_formatter(numbers)
    axes.xaxis.set_minor_formatter(NullFormatter())
