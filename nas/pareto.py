"""Which candidates no other one beats, and the picture of them."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from nas.evolution import Candidate
from rtl.files import atomic_write


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates than which none is as fast and more accurate, fastest first."""
    result: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.cycles, c.score.error)):
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
) -> None:
    """Draw accuracy over frame rate: all candidates, the front, the winners at their targets.

    Parameters
    ----------
    path : Path
        A PNG file; it appears whole or not at all.
    candidates : sequence of Candidate
        Everything that the search evaluated.
    winners : sequence of Candidate
    targets : sequence of float
        Frames per second.
    clock_hz : float
    title : str
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.add_subplot()

    def points(some: Sequence[Candidate]) -> tuple[list[float], list[float]]:
        return [clock_hz / c.cycles for c in some], [100 * (1 - c.score.error) for c in some]

    axes.plot(*points(candidates), ".", color="0.7", label=f"{len(candidates)} candidates")
    # From fast to slow: an accuracy is to be had at every lower rate, up to the next better one.
    axes.step(*points(front(candidates)), where="post", color="C0", label="Pareto front")
    axes.plot(*points(winners), "*", color="C3", markersize=12, label="winners")
    for target in targets:
        axes.axvline(target, color="0.5", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("frames per second, predicted")
    axes.set_ylabel("accuracy on the search-validation pictures, %")
    axes.set_title(title)
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150)
