"""The roofline: the rate of each kind of layer over its multiply-accumulates per byte of memory.

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for
multicore architectures", CACM 52(4), 2009.
"""

from dataclasses import dataclass
from math import inf
from pathlib import Path

from nas.cost.estimate import Estimate
from rtl.files import atomic_write

MARKERS = "osD^v<>Hp"  # of the kinds of layers: 9 with mean pooling


@dataclass(frozen=True)
class RooflinePoint:
    """Intensity and rate of a kind of layer, or of the network.

    Parameters
    ----------
    intensity : float
        Multiply-accumulates per byte of memory traffic; infinite without traffic.
    rate : float
        Multiply-accumulates per second, waits included.
    """

    intensity: float
    rate: float


def points(estimate: Estimate) -> dict[str, RooflinePoint]:
    """Return the points by kind of layer in the order of execution, the network last.

    A kind may lie above the roof: its weights came while the array worked for another one.
    """
    work, breakdown = estimate.work, estimate.breakdown
    clock = estimate.board.clock_hz
    result = {}
    for kind, part in estimate.work_by_kind.items():
        if not part.macs:  # no classifier
            continue
        read = work.read_bytes.get(kind, 0)
        waiting = sum(breakdown.waiting.get(kind, {}).values())
        cycles = breakdown.multiplying[kind] + breakdown.draining[kind] + waiting
        result[kind] = RooflinePoint(part.macs / read if read else inf, part.macs / cycles * clock)
    rate = work.macs * estimate.frames_per_second
    return result | {"network": RooflinePoint(work.macs / work.bytes, rate)}


def plot(path: Path, estimate: Estimate, target_fps: float, title: str) -> None:
    """Draw the roof, a point per kind of layer and for the network, and the target.

    Parameters
    ----------
    path : Path
        A PNG file; it appears whole or not at all. Equal figures give equal bytes.
    estimate : Estimate
    target_fps : float
        Target in frames per second.
    title : str
    """
    # Imported here: only a drawing needs matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    found = points(estimate)
    clock = estimate.board.clock_hz
    peak = estimate.engine.products * clock
    bandwidth = estimate.memory.bytes_per_cycle * clock
    finite = [point.intensity for point in found.values() if point.intensity < inf]
    left, right = min(finite) / 3, max(*finite, peak / bandwidth) * 10

    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.add_subplot()
    for passes, style in ((1, "-"), (2, "--")):  # of the array over a product
        roof = peak / passes
        corner = roof / bandwidth
        rates = [left * bandwidth / 1e9, roof / 1e9, roof / 1e9]
        label = f"roof, {4 * passes}-bit weights"
        axes.plot([left, corner, right], rates, style, color="0.3", linewidth=1.5, label=label)
    far = right / 1.5  # where kinds without traffic are drawn
    for index, (kind, point) in enumerate(found.items()):
        x = min(point.intensity, far)
        label = f"{kind}: {_digits(point.rate / 1e9)} GMAC/s"
        label += ", no traffic" if x == far else f", {_digits(point.intensity)} per byte"
        if kind == "network":
            axes.plot(x, point.rate / 1e9, "k*", markersize=9, zorder=3, label=label)
            continue
        # Hollow, each inside the one before: kinds that lie together can be told apart.
        ring = {"markersize": 16 - index, "markerfacecolor": "none", "markeredgewidth": 1.5}
        axes.plot(x, point.rate / 1e9, MARKERS[index], zorder=3, label=label, **ring)
    needed = estimate.work.macs * target_fps / 1e9
    label = f"target, {target_fps:g} frames/s"
    axes.axhline(needed, color="C3", linestyle=":", linewidth=1.5, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    lowest = min(needed, *(point.rate / 1e9 for point in found.values()))
    axes.set_ylim(lowest / 2, max(needed, peak / 1e9) * 2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.grid(True, which="major", color="0.9")
    axes.set_xlabel("multiply-accumulates per byte of memory traffic")
    axes.set_ylabel(f"GMAC/s at {clock / 1e6:g} MHz")
    figure.suptitle(title)
    figure.legend(loc="outside right center", fontsize="small", labelspacing=1.1)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})


def _digits(value: float) -> str:
    """Format a number with at least two digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
