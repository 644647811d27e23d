"""Tokens that the quantized ViT keeps without training, beside those that the float network would.

The class token's features are compared, as dropped patches have none in the end. The float network
drops patches in several ways: none, by its own choice, as the integer model chose, by its own
choice with the others fused to one token, and by chance.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from nas.evaluate.answers import Answers, float_answers, integer_answers, matching, result
from nas.evaluate.compare import selected
from nas.importer.forward import attend, embed, look, output, run_mlp
from nas.importer.network import FloatNetwork, converted
from nas.importer.selection import KEPT, gathered, keeping, most_important, on_tokens
from nas.vit.example import Example, MadeRow
from nas.vit.inputs import input_hashes
from nas.vit.rows import W8A6, Row
from nas.vit.summary import versions
from rtl.console import table
from rtl.files import atomic_write
from rtl.model import IntegerModel

SCHEMA = 1
FIGURES = "selection.json"
BATCH = 4
WAYS = ("all", "own", "same", "fused", "random")
"""Ways in which the float network drops patches."""


@dataclass(frozen=True)
class PlaceFigures:
    """A block that selects, in means over the images.

    Parameters
    ----------
    block, keep : int
    own : float
        Part of the patches left behind it that both networks have left, each by its own choice.
    same : float
        Likewise where the float network chooses among the patches that the integer model has left.
    importance : float
        Likewise: importance of the integer model's choice, in that of the float network's, as the
        latter has it.
    """

    block: int
    keep: int
    own: float
    same: float
    importance: float


@dataclass(frozen=True)
class SelectionRow:
    """A quantized network.

    Parameters
    ----------
    name : str
    model : str
        Its hash.
    cycles : int
        Exact cycles per image, on an engine that selects.
    places : tuple of PlaceFigures
        None where all patches stay.
    cosines : dict of str to float
        Of the class token's features with those of the float network, by :data:`WAYS`.
    lowest : dict of str to float
        Of an image, likewise.
    """

    name: str
    model: str
    cycles: int
    places: tuple[PlaceFigures, ...]
    cosines: dict[str, float]
    lowest: dict[str, float]


def measure(example: Example, keep: str, row: Row = W8A6) -> dict[str, Any]:
    """Measure all figures that are not kept yet.

    Parameters
    ----------
    example : Example
    keep : str
        As :func:`rtl.model.keep.parse_keep` takes it.
    row : Row
        Measured with ``keep`` and without, on the engine ``NAME_select`` of its own one's name.

    Returns
    -------
    dict
        ``selection.json``, as docs/json.md has it.
    """
    example = replace(example, options={**example.options, "pool": "token"})
    network = converted(example.network, torch.float32)
    counts = {
        block: of.keep
        for block, of in enumerate(keeping(network, keep).blocks)
        if of.keep is not None
    }
    engine = f"{row.engine}_select"
    listed = (
        replace(row, name=f"{row.name}_keep", engine=engine, keep=keep),
        replace(row, name=f"{row.name}_all", engine=engine),
    )
    ways = example.once("float network", keep, lambda: _among_themselves(network, keep, example))
    return {
        "schema": SCHEMA,
        "inputs": input_hashes(),
        "versions": versions(),
        "keep": keep,
        "counts": {str(block): count for block, count in counts.items()},
        "patches": network.patches,
        "images": len(example.test),
        "float": ways,
        "rows": [asdict(_row(example, network, example.make(row), counts)) for row in listed],
    }


def _row(
    example: Example, network: FloatNetwork, made: MadeRow, counts: dict[int, int]
) -> SelectionRow:
    model = made.model

    def compute() -> dict[str, Any]:
        return asdict(_compared(example, network, made, counts if model.shape.selects else {}))

    found = example.once(f"selection of {made.row.name}", [model.hash, counts], compute)
    places = tuple(PlaceFigures(**each) for each in found["places"])
    return SelectionRow(**found | {"places": places})


def _compared(
    example: Example, network: FloatNetwork, made: MadeRow, counts: dict[int, int]
) -> SelectionRow:
    """Measure a row on the test pictures."""
    model: IntegerModel = made.model
    integer, exact = integer_answers(model), matching(network, model)
    parts: list[dict[str, np.ndarray]] = []
    for images in example.test_images.split(BATCH):
        answers = integer(images)
        ways = {"all": float_answers(network)(images)}
        part = {}
        if counts:
            own, same = (float_answers(exact)(images, of) for of in (None, answers.kept))
            part = selected(answers, own, same, network.patches)
            part |= _importance(exact, images, answers, same)
            ways |= {"own": own, "same": same}
            ways["fused"] = Answers(features=fused_features(exact, images).numpy())
        part |= {f"cosine.{way}": _cosine(answers, of) for way, of in ways.items()}
        parts.append(part)
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    places = tuple(
        PlaceFigures(
            block,
            keep,
            *(
                float(found[f"{of}.{block}"].mean())
                for of in ("kept.own", "kept.same", "importance")
            ),
        )
        for block, keep in counts.items()
    )
    cosines = {way: found[f"cosine.{way}"] for way in WAYS if f"cosine.{way}" in found}
    return SelectionRow(
        made.row.name,
        model.hash,
        made.cost.cycles,
        places,
        {way: float(values.mean()) for way, values in cosines.items()},
        {way: float(values.min()) for way, values in cosines.items()},
    )


def _importance(
    network: FloatNetwork, images: Tensor, integer: Answers, same: Answers
) -> dict[str, np.ndarray]:
    """Importance of the integer model's choice, in that of the float network's, by block."""
    found: dict[str, np.ndarray] = {}

    def see(name: str, importance: Tensor) -> Tensor:
        if name.endswith(".importance"):
            block = name.split(".")[1]
            chosen, best = (
                of.kept[f"blocks.{block}.{KEPT}"][:, : -network.others].long()
                for of in (integer, same)
            )
            sums = [importance.gather(1, of).sum(1) for of in (chosen, best)]
            found[f"importance.{block}"] = (sums[0] / sums[1]).numpy()
        return importance

    result(network, images, on_tokens(integer.kept, see))
    return found


def _cosine(one: Answers, other: Answers) -> np.ndarray:
    """Cosine of features, (images,)."""
    assert one.features is not None and other.features is not None
    pair = (torch.from_numpy(of.features).double() for of in (one, other))
    return torch.cosine_similarity(*pair, dim=-1).numpy()


def _among_themselves(network: FloatNetwork, keep: str, example: Example) -> dict[str, float]:
    """Cosine of the float network's features without some patches with those of all patches."""
    exact, found = keeping(network, keep), {way: [] for way in ("own", "fused", "random")}
    rng = torch.Generator().manual_seed(0)
    for images in example.test_images.split(BATCH):
        everything = float_answers(network)(images)
        own = float_answers(exact)(images)
        ways = {
            "own": own,
            "fused": Answers(features=fused_features(exact, images).numpy()),
            "random": float_answers(exact)(images, _by_chance(exact, own, rng)),
        }
        for way, of in ways.items():
            found[way].append(_cosine(of, everything))
    return {way: float(np.concatenate(parts).mean()) for way, parts in found.items()}


def _by_chance(
    network: FloatNetwork, like: Answers, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw the tokens that stay, as many as of another choice."""
    found, patches = {}, network.patches
    for name, kept in like.kept.items():
        importance = torch.rand(len(kept), patches, generator=generator)
        patches = kept.shape[1] - network.others
        found[name] = most_important(importance, patches, network.others)
    return found


@torch.no_grad()
def fused_features(network: FloatNetwork, images: Tensor) -> Tensor:
    """Compute the features where dropped patches stay as one token, as EViT and SPViT do.

    It is their mean behind the projection, weighted by their importance, and lies behind the
    patches. Further on it is not chosen from, but fused with those that are dropped there.

    Parameters
    ----------
    network : FloatNetwork
        That selects tokens, and pools to the class token.
    images : (batch, height, width, channels) uint8

    Returns
    -------
    (batch, features)
    """
    residual, fused = embed(network, images), 0
    for block in network.blocks:
        residual, weights = attend(block, residual, network.head_dim)
        if block.keep is not None:
            patches = residual.shape[1] - network.others - fused
            kept = most_important(weights[:, :patches], block.keep, fused + network.others)
            behind = weights.shape[1] - network.others
            share = weights.scatter(1, kept[:, : block.keep], 0.0)[:, :behind]
            share = share / share.sum(1, keepdim=True).clamp(min=1e-30)
            one = share[:, None] @ residual[:, :behind]  # (batch, 1, width)
            stay = gathered(residual, kept)
            parts = stay[:, : block.keep], one, stay[:, block.keep + fused :]
            residual, fused = torch.cat(parts, 1), 1
        residual = run_mlp(block, residual)
    return output(network, residual, look)


def save(figures: dict[str, Any], path: Path) -> None:
    """Write the figures as JSON."""
    with atomic_write(path, "w") as file:
        file.write(json.dumps(figures, indent=2) + "\n")


def tables(figures: dict[str, Any]) -> tuple[Table, Table]:
    """Make the tables of places and of cosines."""
    places = table(
        *("name", "behind block", "keep", "own %", "same %", "importance %"),
        text=("name",),
        title=f"Patches that stay, {figures['images']} crops: those of the float network, too",
        caption="own: each by itself; same: float chooses among those that the integer model has",
    )
    cosines = table(
        *("name", "cycles", *WAYS),
        text=("name",),
        title="Cosine of the class token's features with those of the float network",
        caption="which keeps all patches, its own, the same ones, fuses the others, or by chance",
    )
    for row in figures["rows"]:
        for each in row["places"]:
            shares = (f"{100 * each[name]:.1f}" for name in ("own", "same", "importance"))
            places.add_row(row["name"], str(each["block"]), str(each["keep"]), *shares)
        cosines.add_row(row["name"], f"{row['cycles']:,}", *_numbers(row["cosines"]))
    cosines.add_row("float with all", "", "1", *_numbers(figures["float"])[1:])
    return places, cosines


def _numbers(values: dict[str, float]) -> list[str]:
    return [f"{values[way]:.4f}" if way in values else "-" for way in WAYS]
