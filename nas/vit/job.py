"""The example: a trained ViT-S/14 quantized, photographs on the engine, saliency maps drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from nas.numerics.integer import IntegerNetwork
from nas.vit.drawing import Maps, draw
from nas.vit.engine import SimulatedImage
from nas.vit.example import Example, MadeRow
from nas.vit.maps import Closeness, float_tokens, tokens_of
from rtl.console import print_tables, table
from rtl.errors import ToolError

MAPS = "maps.png"


@dataclass(frozen=True, eq=False)
class ShownPicture:
    """A picture that ran on the engine.

    Parameters
    ----------
    maps : Maps
    closeness : Closeness
        Of what the engine computed.
    result : SimulatedImage
    """

    maps: Maps
    closeness: Closeness
    result: SimulatedImage


def show(example: Example, made: MadeRow, pictures: Sequence[Path]) -> list[ShownPicture]:
    """Run pictures on the engine, draw their maps, and print a table.

    Raises
    ------
    ToolError
        If the engine differs from golden, or golden from PyTorch's integer mode.
    """
    shown = [run_picture(example, made, picture) for picture in pictures]
    draw(example.folder / MAPS, [each.maps for each in shown])
    print_tables(pictures_table(made, shown))
    return shown


def run_picture(example: Example, made: MadeRow, picture: Path) -> ShownPicture:
    """Run a picture on the engine and in floating point."""
    host = example.network.host
    assert host is not None
    what = f"Simulating {picture.stem} on '{made.row.engine}' (at first: building)"
    with example.console.status(what):
        result, words = example.simulate(made, picture)
    if result.mismatches:
        raise ToolError(f"{picture.stem}: the engine differs from golden: {result.first_mismatch}")
    images = example.images([picture])
    integer = IntegerNetwork(made.model).run(images).numpy()
    if not np.array_equal(integer[0], words):
        raise ToolError(f"{picture.stem}: golden differs from PyTorch's integer mode")
    found = tokens_of(made.model, host, integer)
    expected = float_tokens(example.network, images)
    maps = Maps(picture.stem, images[0].numpy(), expected.maps[0], found.maps[0])
    return ShownPicture(maps, Closeness.of(found, expected), result)


def pictures_table(made: MadeRow, shown: list[ShownPicture]) -> Table:
    """Make the table of what ran on the engine, beside the float network."""
    rows = table(
        *("picture", "cos", "corr", "rel", "cycles", "words compared", "mismatches", "seconds"),
        text=("picture",),
        title=f"{made.row.name} on the engine '{made.row.engine}', every word against golden",
        caption="cos, rel: final tokens against float; corr: saliency maps; seconds: simulation",
    )
    for each in shown:
        close, result = each.closeness, each.result
        rows.add_row(
            each.maps.name,
            f"{close.cos:.4f}",
            f"{close.corr:.4f}",
            f"{close.rel:.4f}",
            f"{result.cycles:,}",
            f"{result.words:,}",
            f"{result.mismatches:,}",
            f"{result.seconds:,.0f}",
        )
    return rows


def origin(example: Example) -> str:
    """Say where the network comes from, and under which licence."""
    source = example.network.source
    parts = [f"network: {source['name']}", str(source.get("origin", "of unknown origin"))]
    if licence := source.get("license"):
        parts.append(f"licence: {licence}")
    if steps := source.get("preprocessing"):
        parts.append(str(steps))
    return "; ".join(parts)
