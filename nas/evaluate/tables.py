"""Tables of an evaluation."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from nas.evaluate.noise import NoiseBudget
from nas.evaluate.result import Evaluation, Selection


def accuracy_table(found: Evaluation) -> Table:
    """Return accuracies of the integer model and the float network, in percent and points."""
    table = _table("", "integer", "95 % interval", "float", "difference", "95 % interval")
    table.caption = "differences in points, paired over the images (Newcombe)"
    for accuracy in found.accuracies:
        difference = accuracy.difference
        table.add_row(
            f"top-{accuracy.top}",
            f"{accuracy.integer:.2%}",
            _percent(accuracy.integer_interval),
            "-" if accuracy.exact is None else f"{accuracy.exact:.2%}",
            f"{100 * difference.mean:+.2f}" if difference else "-",
            f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}" if difference else "-",
        )
    return table


def likeness_table(found: Evaluation) -> Table:
    """Return how much features and outputs are like those of the float network."""
    table = _table("", "relative error", "cosine", "correlation")
    for name, like in found.likenesses.items():
        table.add_row(
            name, f"{like.relative_error:.4f}", _number(like.cosine), _number(like.correlation)
        )
    return table


def selection_table(found: Selection) -> Table:
    """Return how many of the patches that stay are those of the float network."""
    table = _table("patches behind block", "both by themselves", "on the same patches")
    table.caption = "of those that stay, share that the float network would keep, too"
    for block, own in found.own.items():
        table.add_row(str(block), f"{own:.2%}", f"{found.same[block]:.2%}")
    return table


def sentences(found: Evaluation) -> Iterator[str]:
    """Yield what no table holds."""
    yield f"integer model: {found.seconds:.3g} s per image"
    if found.agreement is not None and found.agreement_interval:
        yield (
            f"same first class as the float network: {found.agreement:.2%} of {found.images:,}"
            f" images (95 %: {_percent(found.agreement_interval)})"
        )

    if (selection := found.selection) is None:
        return
    if selection.agreement is not None:
        yield f"same first class, on the same tokens: {selection.agreement:.2%}"
    for name, like in selection.likenesses.items():
        cosine = "" if like.cosine is None else f", cosine {like.cosine:.4f}"
        yield f"{name} on the same tokens: relative error {like.relative_error:.4f}{cosine}"


def noise_table(found: NoiseBudget) -> Table:
    """Return the noise of every operation; sources by their noise alone, the largest first."""
    table = _table("rounding of", "noise alone", "of all but it")
    table.title = f"Noise of {found.images:,} images, relative to the float network's output"
    if found.agreement is not None:
        table.add_column("agrees alone", justify="right")
        table.add_column("without it", justify="right")
    for source in sorted(found.sources, key=lambda source: -source.alone):
        shares = (source.agreement_alone, source.agreement_without)
        cells = [f"{share:.1%}" for share in shares if share is not None]
        table.add_row(source.source, f"{source.alone:.4f}", f"{source.without:.4f}", *cells)
    table.add_section()
    table.add_row("root of the squares", f"{found.root_of_squares:.4f}")
    total = [] if found.agreement is None else [f"{found.agreement:.1%}"]
    table.add_row("all together", f"{found.total:.4f}", "", *total)
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _percent(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2%} to {interval[1]:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
