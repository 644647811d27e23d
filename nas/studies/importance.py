"""Weights that patches are chosen by: the class token's, before or behind rounding and dither.

The trained ViT-S/14 and the photographs of ``nox -s vit``, in floating point; the attention of its
class token is put into the codes of docs/numerics.md, section 5, and patches are chosen by them.
What is counted is how many of those that exact weights choose are missed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from nas.importer import load
from nas.importer.forward import forward
from nas.importer.network import FloatNetwork, converted
from nas.importer.selection import keeping
from nas.quantize.images import load_images
from nas.studies.options import StudyOptions
from nas.studies.rows import study_example
from nas.studies.setup import begin
from nas.vit.inputs import input_hashes
from nas.vit.photographs import TEST, write_crops
from nas.vit.summary import versions
from rtl.console import print_tables, table
from rtl.files import atomic_write
from rtl.model.numerics import ACT_BITS, EXP2_ENTRIES
from rtl.timing.fingerprint import source_hash
from sim import golden

SCHEMA = 1
KEEP = "3:0.7,6:0.7,9:0.7"
QUICK_CROPS = 3
DIGITS = 5
WAYS = {
    "exact": "before rounding",
    "rounded": "rounded to nearest",
    "dithered": "rounded with dither",
}
"""Weights that importance is made of, and what a table calls them."""


@dataclass(frozen=True)
class Missed:
    """Patches that should have stayed and do not, as a share of those that stay.

    Parameters
    ----------
    act_bits, block, keep : int
    way : str
        One of :data:`WAYS`.
    shares : list of float
        Of each image.
    """

    act_bits: int
    block: int
    keep: int
    way: str
    shares: list[float]

    def figures(self) -> dict[str, Any]:
        """Return what is written."""
        mean, worst = float(np.mean(self.shares)), max(self.shares)
        own = {"act_bits": self.act_bits, "block": self.block, "keep": self.keep, "way": self.way}
        return own | {"missed": round(mean, DIGITS), "worst": round(worst, DIGITS)}


def importance_of(octaves: np.ndarray, act_bits: int, way: str) -> np.ndarray:
    """Compute the importance of keys as section 5 does, from one kind of weights.

    Parameters
    ----------
    octaves : (..., heads, keys) int64
        Distances from the largest weight of the head, in 1/256 octaves.
    act_bits : int
    way : str
        One of :data:`WAYS`.

    Returns
    -------
    (..., keys) int64
    """
    codes = golden.softmax_weights(-octaves, 1, 0, act_bits)
    total = codes.sum(-1, keepdims=True)
    if way == "exact":
        return golden.importance_terms(-octaves, 1, 0, act_bits, total).sum(-2)
    if way == "rounded":
        top = (1 << act_bits) - 1
        codes = np.floor(top * np.exp2(-octaves / EXP2_ENTRIES) + 0.5).astype(np.int64)
    # A code is 256 of the weights before rounding; R and L are those of the engine either way.
    length = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    return (((codes << 8) * ((1 << (15 + length)) // total)) >> (length + 7)).sum(-2)


@torch.no_grad()
def attention_rows(network: FloatNetwork, images: Tensor) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each block that selects, and the class token's weights of an image, (heads, tokens)."""
    chosen = {f"blocks.{i}.attention": i for i, of in enumerate(network.blocks) if of.keep}
    for image in images.split(1):
        found: dict[int, np.ndarray] = {}

        def note(name: str, tensor: Tensor, found: dict[int, np.ndarray] = found) -> Tensor:
            if name in chosen:
                found[chosen[name]] = tensor[0, :, -1].double().numpy()
            return tensor

        forward(network, image, note)
        yield from found.items()


def missed(network: FloatNetwork, images: Tensor) -> list[Missed]:
    """Count missed patches, for all widths of activations.

    Parameters
    ----------
    network : FloatNetwork
        Its own choice decides what later blocks see.
    images : (images, height, width, channels) uint8
    """
    shares: dict[tuple[int, int, str], list[float]] = {}
    for block, weights in attention_rows(network, images):
        keep, patches = network.blocks[block].keep, network.sizes.patches_in(block)
        assert keep is not None
        right = np.argsort(-weights.sum(0)[:patches], kind="stable")[:keep]
        ratio = np.maximum(weights / weights.max(-1, keepdims=True), np.finfo(float).tiny)
        octaves = np.floor(-np.log2(ratio) * EXP2_ENTRIES).astype(np.int64)
        for act_bits in ACT_BITS:
            for way in WAYS:
                found = importance_of(octaves, act_bits, way)[:patches]
                wrong = np.setdiff1d(right, golden.select(found, keep)).size
                shares.setdefault((block, act_bits, way), []).append(wrong / keep)
    keeps = {block: of.keep or 0 for block, of in enumerate(network.blocks)}
    return [
        Missed(act_bits, block, keeps[block], way, of)
        for (block, act_bits, way), of in sorted(shares.items(), key=lambda one: one[0][:2])
    ]


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    ToolError
        If the network or the photographs cannot be fetched.
    UserError
        If the folder cannot be written.
    """
    path, console = begin(options, "importance")
    network, images = network_and_images(options.out / "importance", console, options.quick)
    with console.status(f"{len(images)} images"):
        found = missed(network, images)
    report = {
        "schema": SCHEMA,
        "quick": options.quick,
        "inputs": inputs() | {"code": source_hash([Path(__file__)])},
        "versions": versions(),
        "keep": KEEP,
        "images": len(images),
        "rows": [each.figures() for each in found],
    }
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    print_tables(missed_table(report))
    print(f"Wrote {path}")
    return report


def inputs() -> dict[str, str]:
    """Return the hashes of what decides the figures: network, photographs, crops."""
    return {name: of for name, of in input_hashes().items() if name != "method"}


def network_and_images(
    folder: Path, console: Console, quick: bool = False
) -> tuple[FloatNetwork, Tensor]:
    """Fetch the network, which selects patches, and the test crops."""
    source = study_example(folder, console).source
    network = keeping(converted(load(source, pool="token"), torch.float32), KEEP)
    with console.status("Cutting crops"):
        paths = write_crops(folder, TEST)
    paths = paths[: QUICK_CROPS if quick else None]
    return network, load_images(paths, network.preprocessing, network.image)


def missed_table(report: dict[str, Any]) -> Table:
    """Make the table of a study."""
    result = table(
        "behind block", "patches that stay", "bits", *WAYS.values(),
        text=(),
        title="Patches that should stay and do not, if importance is made of weights ...",
        caption=f"mean of {report['images']} crops, and of the worst; exact weights choose rightly",
    )  # fmt: skip
    rows: dict[tuple[int, int, int], list[str]] = {}
    for row in report["rows"]:
        of = row["block"], row["keep"], row["act_bits"]
        rows.setdefault(of, []).append(f"{100 * row['missed']:.1f} % ({100 * row['worst']:.1f})")
    for of, cells in rows.items():
        result.add_row(*map(str, of), *cells)
    return result
