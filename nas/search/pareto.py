"""The Pareto front of the candidates, and its plot."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, NullFormatter, StrMethodFormatter

from nas.cost.candidates import Objective
from nas.search.evolution import Candidate
from rtl.files import atomic_write

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


def front(candidates: Sequence[Candidate], cost: Value = cycles) -> list[Candidate]:
    """Return the candidates that no cheaper one equals in accuracy, the cheapest first."""
    result: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (cost(c), c.score.error)):
        if not result or candidate.score.error < result[-1].score.error:
            result.append(candidate)
    return result


def plot(
    path: Path,
    candidates: Sequence[Candidate],
    winners: Sequence[Candidate],
    targets: Sequence[float],
    clock_hz: float,
    title: str,
    objectives: Sequence[Objective] = ("cycles",),
) -> None:
    """Plot accuracy over frame rate, and over every other objective in a panel of its own.

    The panels show all candidates, the Pareto front and the winners; the first one also shows the
    frame rates that were asked for.

    Parameters
    ----------
    path : Path
        PNG file; it appears whole or not at all.
    candidates : sequence of Candidate
        All subnets that the search evaluated.
    winners : sequence of Candidate
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
    _panel(first, candidates, winners, cycles, lambda c: clock_hz / c.cycles, rates)
    first.set_xlabel("frames per second, predicted")
    for target in targets:
        first.axvline(target, color="0.5", linestyle=":", linewidth=1)
    for axes, place in zip(more, others, strict=True):
        cost = _objective(place)
        label, unit = AXES[objectives[place]]
        _panel(axes, candidates, winners, cost, cost, EngFormatter(unit))
        axes.set_xlabel(f"{label}, per image, predicted")
    first.set_ylabel("accuracy on the search images, %")
    (figure.suptitle if others else first.set_title)(title)
    first.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)


def _objective(place: int) -> Value:
    return lambda candidate: candidate.objectives[place]


def _panel(
    axes: Axes,
    candidates: Sequence[Candidate],
    winners: Sequence[Candidate],
    cost: Value,
    x: Value,
    numbers: Formatter,
) -> None:
    """Plot accuracy over ``x``, with the front by ``cost``."""

    def points(some: Sequence[Candidate]) -> tuple[list[float], list[float]]:
        return [x(c) for c in some], [100 * (1 - c.score.error) for c in some]

    axes.plot(*points(candidates), ".", color="0.7", label=f"{len(candidates)} candidates")
    axes.step(*points(front(candidates, cost)), where="post", color="C0", label="Pareto front")
    axes.plot(*points(winners), "*", color="C3", markersize=12, label="winners")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=TICKS))
    axes.xaxis.set_major_formatter(numbers)
    axes.xaxis.set_minor_formatter(NullFormatter())
