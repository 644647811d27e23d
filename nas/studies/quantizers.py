"""Quantizers of other papers in the place of this pipeline's, with everything else equal.

The trained ViT-S/14 and the photographs of ``nox -s vit``, 8-bit rows and 6-bit activations. Three
kinds of tensors are tried (:mod:`nas.studies.variants`). A variant is measured in floating point,
*alone*, where all else is as in the float network, and *in all*, where the whole network is
quantized anew with it; and as an integer model, where the engine runs it as it is. Nothing is
chosen by these measurements.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from nas.cost import HardwareTarget
from nas.importer.forward import Tap, features, forward, look
from nas.importer.network import FloatNetwork, converted
from nas.producer import producer
from nas.quantize.arrange import (
    CHUNK_IMAGES,
    Statistics,
    arranged,
    folded,
    statistics,
    table_units,
    unit_order,
)
from nas.quantize.export import export
from nas.quantize.method import Method
from nas.quantize.pipeline import quantize_network
from nas.quantize.scales import token_shares
from nas.studies.codes import TableCode
from nas.studies.options import StudyOptions
from nas.studies.quantizer_table import variants_table
from nas.studies.resampling import nested_mean
from nas.studies.rows import study_example
from nas.studies.setup import begin
from nas.studies.variants import ATTENTION, HIDDEN, KINDS, NORM, Variant, variants
from nas.vit import probe
from nas.vit.example import Example
from nas.vit.inputs import input_hashes
from nas.vit.photographs import CALIBRATION, CROPS, TEST, write_crops
from nas.vit.summary import versions
from rtl.console import print_tables
from rtl.files import atomic_write
from rtl.model.shape import LAYERS
from rtl.timing.fingerprint import source_hash

SCHEMA = 1
USED_CROPS = {CALIBRATION: 1, TEST: 1}
"""Crops of each photograph that the network is quantized on, and measured on."""
SEEN_IMAGES = 4
"""Images whose attention weights a table is chosen by, in the float network."""
QUICK_PHOTOGRAPHS = 2
CODE = ("quantizers.py", "codes.py")
TENSORS = {NORM: ("norm1", "norm2"), HIDDEN: ("hidden",), ATTENTION: ()}
LAYERS_BEHIND = {"norm1": ("q", "k", "v"), "norm2": ("fc1",)}
WAYS = ("alone", "all", "integer")
DIGITS = 6


Measured = list[tuple[Variant, dict[str, Any]]]
"""Variants with what is measured of each."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The float network as it is quantized.

    Parameters
    ----------
    network : FloatNetwork
        Folded, float32, its hidden units in the order of their tables.
    seen : Statistics
    """

    network: FloatNetwork
    seen: Statistics


@dataclass(frozen=True, eq=False)
class QuantizerStudy:
    """The network, with images to quantize it on and to measure it on.

    Parameters
    ----------
    example : Example
    crops : int
        Test pictures of one photograph; they lie side by side.
    seed : int
        Of the rotation.
    """

    example: Example
    crops: int
    seed: int = 0

    @cached_property
    def hardware(self) -> HardwareTarget:
        return HardwareTarget.load(self.example.board)

    @cached_property
    def variants(self) -> list[Variant]:
        return variants(self.hardware.engine.act_bits)

    @cached_property
    def expected(self) -> np.ndarray:
        """The float network's features of the test images, (images, tokens, features)."""
        return probe.float_features_of(self.example.network, self.example.test_images)

    @cached_property
    def _prepared(self) -> dict[Method, Prepared]:
        return {}

    @cached_property
    def _samples(self) -> dict[tuple[Method, str], dict[str, Tensor]]:
        return {}

    def method(self, variant: Variant) -> Method:
        """Return the pipeline's method with the variant's options."""
        return Method(
            act_bits=self.hardware.engine.act_bits,
            rotate=variant.rotate,
            seed=self.seed,
            tables=variant.gelu_tables,
        )

    def prepared(self, variant: Variant) -> Prepared:
        """Fold the network, once for each method, and arrange its hidden units."""
        method = self.method(variant)
        if method not in self._prepared:
            network = converted(folded(self.example.network, method), torch.float32)
            seen = statistics(network, self.example.calibration_images)
            orders = [unit_order(tops, self.units(len(tops), method)) for tops in seen.hidden_tops]
            self._prepared[method] = Prepared(arranged(network, orders), seen)
        return self._prepared[method]

    def units(self, hidden: int, method: Method) -> tuple[int, ...]:
        """Hidden units of each GELU table."""
        return table_units(hidden, method, self.hardware.engine.row_lanes)

    @cached_property
    def sample(self) -> list[Tensor]:
        """Each block's attention weights, (images, heads, tokens, tokens); no fold changes them."""
        network = converted(self.example.network, torch.float32)
        found = tensors_of(network, self.example.calibration_images[:SEEN_IMAGES], (ATTENTION,))
        return list(found.values())

    def measure(self) -> Iterator[Measured]:
        """Measure all variants, but for what is done; say after each what is measured so far.

        Yields
        ------
        list of (Variant, dict)
            By way: rel and cos of each test image; and the tables that were chosen.
        """
        found: Measured = []
        for variant in self.variants:
            found.append((variant, self.once(variant, "alone", self.alone)))
            yield found
        for variant, values in found:
            if variant.whole:
                values |= self.once(variant, "in all", self.in_all)
                yield found

    def once(
        self, variant: Variant, way: str, compute: Callable[[Variant], dict[str, Any]]
    ) -> dict[str, Any]:
        """Measure a variant in one way, unless that is done."""
        # What the pipeline does is the same network for every kind.
        same = variant.baseline and way == "in all"
        name = "as it is" if same else f"{KINDS[variant.kind]}, {variant.name}"
        name = f"{name}{'' if variant.rotate else ', not rotated'}: {way}"
        tables = [table.name for table in variant.tables]
        of = [*tables, self.seed, self.crops, _code(), *map(str, self.example.test)]
        return dict(self.example.once(name, of, lambda: compute(variant)))

    @torch.no_grad()
    def alone(self, variant: Variant) -> dict[str, Any]:
        """Quantize this kind of tensors, and nothing else."""
        ready = self.prepared(variant)
        tap, chosen = self.tap(variant, ready.network)
        return {"alone": self.closeness(ready.network, tap), "chosen": chosen}

    def tap(self, variant: Variant, network: FloatNetwork) -> tuple[Tap, list[str]]:
        """Return a tap that quantizes this kind of tensors, and the names of its tables."""
        method = self.method(variant)
        bits = method.act_bits
        found = variant.quantizers(self.sample)
        rounding: dict[str, Any] = {}
        if (key := (method, variant.kind)) not in self._samples:
            images = self.example.calibration_images[: method.samples]
            self._samples[key] = tensors_of(network, images, TENSORS[variant.kind])
        for name, tensor in self._samples[key].items():
            _, index, within = name.split(".")
            block, own = network.blocks[int(index)], found[int(index)]
            sample = tensor.flatten(0, 1)
            if within == "hidden":
                rounding[name] = own.hidden(sample, self.units(block.hidden, method), bits)
                continue
            count, tokens = tensor.shape[:2]
            share = token_shares(count, tokens, method.class_share).to(sample)
            weights = [getattr(block, layer).weight for layer in LAYERS_BEHIND[within]]
            importance = torch.cat(weights).square().sum(0)
            rounding[name] = own.norm(sample, bits, share, importance)

        def quantize(name: str, tensor: Tensor) -> Tensor:
            if variant.kind == ATTENTION and name.endswith(f".{ATTENTION}"):
                return found[int(name.split(".")[1])].attention(tensor, bits)
            return rounding[name](tensor) if name in rounding else tensor

        chosen = [code.table.name for code in rounding.values() if isinstance(code, TableCode)]
        return quantize, chosen + [each.name for each in variant.chosen(self.sample)]

    @torch.no_grad()
    def in_all(self, variant: Variant) -> dict[str, Any]:
        """Quantize the whole network with the variant."""
        ready, method = self.prepared(variant), self.method(variant)
        found = variant.quantizers(self.sample)
        bits = {"embed": torch.full((ready.network.width,), 8)} | {
            f"blocks.{index}.{layer}": torch.full((len(getattr(block, layer).bias),), 8)
            for index, block in enumerate(ready.network.blocks)
            for layer in LAYERS
        }
        granularity = self.hardware.engine.row_lanes
        done = quantize_network(
            ready.network,
            self.example.calibration_images,
            ready.seen,
            method,
            bits,
            granularity=granularity,
            quantizers=found,
        )
        plain = done.codes.tap()

        def tap(name: str, tensor: Tensor) -> Tensor:
            if name.endswith(f".{ATTENTION}"):
                return found[int(name.split(".")[1])].attention(tensor, method.act_bits)
            return plain(name, tensor)

        result: dict[str, Any] = {"all": self.closeness(done.network, tap)}
        if variant.runs:
            model = export(done, granularity=granularity, producer=producer())
            integer = probe.integer_features(model, self.example.test_images)
            result["integer"] = self.compared(integer)
        return result

    def closeness(self, network: FloatNetwork, tap: Tap = look) -> dict[str, list[float]]:
        """Compare a network's features of the test images with the float network's."""
        chunks = self.example.test_images.split(CHUNK_IMAGES)
        found = torch.cat([features(network, forward(network, chunk, tap)) for chunk in chunks])
        return self.compared(found.numpy())

    def compared(self, found: np.ndarray) -> dict[str, list[float]]:
        """Compare features, (images, tokens, features), image by image.

        Returns
        -------
        dict
            ``rel``: the relative error of all tokens; ``cos``: mean cosine of the patch tokens.
        """
        a, b = (torch.from_numpy(each).double() for each in (found, self.expected))
        patches = self.example.network.patches
        rel = (a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
        cos = functional.cosine_similarity(a[:, :patches], b[:, :patches], dim=2).mean(1)
        return {"rel": rel.tolist(), "cos": cos.tolist()}

    def change(self, rel: list[float], before: list[float]) -> dict[str, float]:
        """Mean relative change of errors, paired by image, with its interval over photographs."""
        return dict(_change_of(tuple(rel), tuple(before), self.crops))


@cache
def _change_of(rel: tuple[float, ...], before: tuple[float, ...], crops: int) -> dict[str, float]:
    """Compute a change of :meth:`QuantizerStudy.change` once: the report is written often."""
    ratios = np.log(np.array(rel) / np.array(before)).reshape(-1, crops)
    values = asdict(nested_mean(ratios))
    return {name: round(float(np.expm1(value)), DIGITS) for name, value in values.items()}


@torch.no_grad()
def tensors_of(network: FloatNetwork, images: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return tensors of the blocks, (images, ...), in the order of execution."""
    found: dict[str, list[Tensor]] = {}

    def keep(name: str, tensor: Tensor) -> Tensor:
        if name.rpartition(".")[2] in names:
            found.setdefault(name, []).append(tensor)
        return tensor

    for chunk in images.split(CHUNK_IMAGES) if names else ():
        forward(network, chunk, keep)
    return {name: torch.cat(parts) for name, parts in found.items()}


def quantizers_example(folder: Path, console: Console, quick: bool) -> tuple[Example, int]:
    """Fetch the network and cut the crops; return them, and the test crops of one photograph."""
    example = study_example(folder, console)
    count = QUICK_PHOTOGRAPHS if quick else None
    found: dict[str, tuple[Path, ...]] = {}
    with console.status("Cutting crops"):
        for part, used in USED_CROPS.items():
            paths = write_crops(folder, part)
            each = [paths[first : first + used] for first in range(0, len(paths), CROPS[part])]
            found[part] = tuple(path for crops in each[:count] for path in crops)
    example = replace(example, calibration=found[CALIBRATION], test=found[TEST])
    return example, USED_CROPS[TEST]


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes. What is measured is written at once.

    Raises
    ------
    ToolError
        If the network or the photographs cannot be fetched.
    UserError
        If the folder cannot be written.
    """
    path, console = begin(options, f"quantizers-{options.seed}")
    example, crops = quantizers_example(options.out / "quantizers", console, options.quick)
    study = QuantizerStudy(example, crops, options.seed)
    report = {}
    for measured in study.measure():
        report = report_of(study, options, measured)
        with atomic_write(path, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    print_tables(variants_table(report))
    print(f"Wrote {path}")
    return report


def report_of(study: QuantizerStudy, options: StudyOptions, measured: Measured) -> dict[str, Any]:
    """Return what is written; ``complete`` says whether everything is measured."""
    ways = [way for variant, found in measured for way in _wanted(variant) if way in found]
    wanted = [way for variant in study.variants for way in _wanted(variant)]
    return {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "complete": len(ways) == len(wanted),
        "inputs": input_hashes() | {"code": _code()},
        "versions": versions(),
        "act_bits": study.hardware.engine.act_bits,
        "calibration_images": len(study.example.calibration),
        "images": len(study.example.test),
        "variants": rows_of(study, measured),
    }


def rows_of(study: QuantizerStudy, measured: Measured) -> list[dict[str, Any]]:
    """Return the figures of each variant, and its changes against baselines of its kind."""
    baselines = {
        (variant.kind, variant.rotate): found for variant, found in measured if variant.baseline
    }
    rows = []
    for variant, found in measured:
        own, used = baselines[variant.kind, variant.rotate], baselines[variant.kind, True]
        row: dict[str, Any] = {
            "kind": variant.kind,
            "name": variant.name,
            "source": variant.source,
            "runs": variant.runs,
            "rotate": variant.rotate,
            "baseline": variant.baseline,
            "chosen": found["chosen"],
        }
        for way in WAYS:
            row[way] = None
            if way in found:
                rel = found[way]["rel"]
                row[way] = {
                    "rel": round(float(np.mean(rel)), DIGITS),
                    "cos": round(float(np.mean(found[way]["cos"])), DIGITS),
                    "change": None if found is own else _change(study, rel, own.get(way)),
                    "against_used": None if found is used else _change(study, rel, used.get(way)),
                }
        rows.append(row)
    return rows


def _wanted(variant: Variant) -> tuple[str, ...]:
    return ("alone", "all") if variant.whole else ("alone",)


def _change(
    study: QuantizerStudy, rel: list[float], before: dict[str, list[float]] | None
) -> dict[str, float] | None:
    return study.change(rel, before["rel"]) if before else None


def _code() -> str:
    here = Path(__file__).parent
    return source_hash([here / name for name in CODE])
