"""Every figure of the published table, one after the other; each is kept as soon as it is there."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from nas.evaluate.noise import NoiseMeter
from nas.quantize.method import Method
from nas.vit import digit_network, maps, probe
from nas.vit.digits import DigitSets, RowAccuracy
from nas.vit.example import Example, MadeRow
from nas.vit.inputs import input_hashes
from nas.vit.job import ShownPicture
from nas.vit.rows import BASELINES, CHANCES, TABLE, Row
from nas.vit.summary import (
    AccuracyFigures,
    DigitFigures,
    EngineFigures,
    NoiseFigures,
    RowFigures,
    VitSummary,
    versions,
)
from rtl.console import print_tables, table

PHOTOGRAPHS = 2
"""On the engine."""
PROBED = ("w8a8", "w8a6", "w4a6")
BATCH = 4


def measure(
    example: Example,
    shown: list[ShownPicture],
    *,
    rows: tuple[Row, ...] = TABLE,
    digits: DigitSets | None = None,
    recipe: digit_network.DigitRecipe | None = None,
    image: int = probe.IMAGE,
) -> VitSummary:
    """Measure everything that is not measured yet.

    Parameters
    ----------
    example : Example
    shown : list of ShownPicture
        What ran on the engine.
    rows : tuple of Row
        The table: ``half`` and those of :data:`PROBED` among them.
    digits : DigitSets, optional
    recipe : DigitRecipe, optional
    image : int
        Pixels of the digits' height and width for the probe.
    """
    digits = digits or DigitSets.load()
    by_name = {row.name: row for row in rows}
    error = example.once("import against ONNX Runtime", len(example.test), lambda: _import(example))
    made = {row.name: example.make(row) for row in rows}
    figures = {name: row_figures(example, each) for name, each in made.items()}
    baselines = [row_figures(example, example.make(row)) for row in _like(BASELINES, by_name)]
    random = [row_figures(example, example.make(row)) for row in random_rows(made["half"], by_name)]
    chosen = figures["half"].rel / float(np.mean([each.rel for each in random]))
    noise = example.once("noise", made["w8a6"].model.hash, lambda: _noise(example, made["w8a6"]))
    probed = tuple(by_name[name] for name in PROBED)
    on_digits = probe.probe_example(example, digits, image)
    accuracy, accuracies = probe.measure(on_digits, digits, probed)
    recipe = recipe or digit_network.DigitRecipe()
    small = digit_network.digits_example(example, digits, recipe)
    trained = digit_network.measure(small, digits, by_name["w8a6"].engine)
    return VitSummary(
        inputs=input_hashes(),
        versions=versions(),
        import_error=error,
        rows=tuple(figures.values()),
        baselines=tuple(baselines),
        random_tiles=tuple(random),
        random_ratio=chosen,
        noise=NoiseFigures(**noise),
        probe_accuracy=accuracy,
        probe=_accuracies(accuracies),
        digits=DigitFigures(rows=_accuracies(trained.pop("rows")), **trained),
        rtl=tuple(engine_figures(each) for each in shown),
        rtl_images=len(shown),
        rtl_mismatches=sum(each.result.mismatches for each in shown),
    )  # pyright: ignore[reportCallIssue]: the alias of schema_ has a default


def row_figures(example: Example, made: MadeRow) -> RowFigures:
    """Measure a row."""
    cost = asdict(made.cost)
    cost.pop("model")
    return RowFigures(name=made.row.name, **asdict(example.closeness(made)), **cost)


def random_rows(half: MadeRow, by_name: dict[str, Row]) -> list[Row]:
    """Return rows like ``half``, made by the same method, whose tiles are taken by chance."""
    method = Method(**half.model.info["method"])
    return [
        replace(by_name["half"], name=f"half_random_{seed}", method=replace(method, chance=seed))
        for seed in CHANCES
    ]


def _like(baselines: tuple[Row, ...], by_name: dict[str, Row]) -> list[Row]:
    """Return naive rows for the engines of the rows that they are the baselines of."""
    return [
        replace(row, engine=by_name[row.name.removesuffix("_naive")].engine) for row in baselines
    ]


def engine_figures(shown: ShownPicture) -> EngineFigures:
    """Return the figures of a simulated photograph."""
    result = shown.result
    return EngineFigures(
        photograph=shown.maps.name,
        cycles=result.cycles,
        words=result.words,
        seconds=result.seconds,
    )


def _import(example: Example) -> float:
    return maps.import_error(Path(example.source), example.network, example.test_images)


def _noise(example: Example, made: MadeRow) -> dict[str, object]:
    budget = NoiseMeter(made.model, example.network).measure(example.test_images.split(BATCH))
    return {
        "total": budget.total,
        "root_of_squares": budget.root_of_squares,
        "sources": {each.source: each.alone for each in budget.sources},
    }


def _accuracies(rows: list[RowAccuracy]) -> tuple[AccuracyFigures, ...]:
    return tuple(AccuracyFigures(**asdict(row)) for row in rows)


def show(summary: VitSummary) -> None:
    """Print the tables of a summary."""
    print_tables(rows_table(summary), accuracy_table(summary))
    noise = summary.noise
    print(
        f"Import against ONNX Runtime: {summary.import_error:.1e}. Tiles taken by chance: rel"
        f" {np.mean([each.rel for each in summary.random_tiles]):.3f}, of which the chosen ones"
        f" have {summary.random_ratio:.2f}. W8A6's noise: {noise.total:.3f}, root of the squares"
        f" of its sources {noise.root_of_squares:.3f}."
    )


def rows_table(summary: VitSummary) -> Table:
    """Make the table of closeness to float."""
    columns = ("name", "cos", "corr", "rel", "cycles", "seconds", "MB")
    rows = table(*columns, text=columns[:1], title="Against float, on the test crops")
    for each in (*summary.rows, *summary.baselines, *summary.random_tiles):
        rows.add_row(
            each.name,
            f"{each.cos:.4f}",
            f"{each.corr:.4f}",
            f"{each.rel:.4f}",
            f"{each.cycles:,}",
            f"{each.seconds:,.0f}",
            f"{each.peak_bytes / 1e6:,.0f}",
        )
    return rows


def accuracy_table(summary: VitSummary) -> Table:
    """Make the table of accuracies on digits."""
    columns = ("network", "weights", "accuracy %", "points", "95 %", "agreement %")
    rows = table(*columns, text=columns[:2], title="Digits: integer minus float, paired")
    for network, accuracy, parts in (
        ("linear probe", summary.probe_accuracy, summary.probe),
        ("small ViT", summary.digits.accuracy, summary.digits.rows),
    ):
        rows.add_row(network, "float", f"{100 * accuracy:.1f}")
        for each in parts:
            low, high = each.interval
            rows.add_row(
                network,
                each.name,
                f"{100 * each.accuracy:.1f}",
                f"{each.difference:+.1f}",
                f"{low:+.1f}..{high:+.1f}",
                f"{100 * each.agreement:.1f}",
            )
    return rows
