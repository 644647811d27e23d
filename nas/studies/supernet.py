"""Recipes of the supernet, each beside the same one, with the same seeds.

The quantized stage has 30 epochs, but where its length is what is compared.

Measured in quantized mode on the validation images, as design note 16 says; no test image is seen.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nas.cost import ExactCosts, HardwareTarget, SubnetCosts
from nas.data import TrainingData
from nas.space import Arch
from nas.studies.options import StudyOptions
from nas.studies.resampling import cell, crossed_mean
from nas.studies.setup import begin, study_data, study_recipe
from nas.studies.spread import spread_by_cycles
from nas.supernet.supernet import Supernet
from nas.task.options import SUPERNETS
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import evaluate_subnet
from nas.training.recipe import TrainConfig
from nas.training.train import train_supernet
from nas.training.trainer import Trainer
from rtl.console import print_tables, table
from rtl.files import atomic_write

SCHEMA = 1
SUBNETS, SEEDS = 24, 2  # if not said otherwise
EPOCHS = 30
"""Length of the quantized stage beside which changes are measured."""
USED = "recipe"
PARTS = 3  # of the subnets, by their cycles


@dataclass(frozen=True, eq=False)
class Trained:
    """Answers of the subnets of one recipe.

    Parameters
    ----------
    name : str
    losses : (seeds, subnets, images) float64
        Cross-entropies, in nats.
    correct : (seeds, subnets, images) bool
    """

    name: str
    losses: np.ndarray
    correct: np.ndarray


def recipes(config: TrainConfig) -> dict[str, TrainConfig]:
    """Return a recipe and others by name, each changed in one way."""
    config = replace(config, quantized_epochs=min(config.quantized_epochs, EPOCHS))
    switched = replace(config.supernet, switched_gains=True)
    return {
        USED: config,
        "channels and heads unsorted": replace(config, sort_channels=False),
        "each taught by the next larger": replace(config, chained=True),
        "elastic before quantization": replace(
            config, elastic_epochs=(config.float_epochs + 1) // 2
        ),
        "layer scaling switches": replace(config, supernet=switched),
        "quantized stage 1.5 times as long": _longer(config, 1.5),
        "quantized stage twice as long": _longer(config, 2),
    }


def _longer(config: TrainConfig, factor: float) -> TrainConfig:
    return replace(config, quantized_epochs=round(factor * config.quantized_epochs))


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    return compare(options, "supernet", options.seeds or SEEDS, recipes)


def compare(
    options: StudyOptions,
    name: str,
    count: int,
    variants: Callable[[TrainConfig], dict[str, TrainConfig]],
    kinds: Mapping[str, type[Trainer]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Train recipes with the same seeds, measure the same subnets, and write OUT/NAME-SEED.json.

    Parameters
    ----------
    options : StudyOptions
    name : str
        Of the study.
    count : int
        Seeds.
    variants : callable
        Recipes by name, for the main job's; the others are compared with the first.
    kinds : mapping
        By recipe the trainer that takes its steps, if it is one of the study's own.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    path, console = begin(options, f"{name}-{options.seed}")
    hardware = HardwareTarget.load(options.board)
    data = study_data(options)
    space = study_recipe(options, hardware, options.seed).supernet.space
    # Tiles in their natural order: a trained network's own would change what is compared.
    costs = SubnetCosts(hardware, space, ExactCosts())
    subnets = spread_by_cycles(costs, options.subnets or SUBNETS, options.seed)
    archs = [arch for arch, _ in subnets]
    seeds = range(options.seed, options.seed + count)
    answers: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for seed in seeds:
        config = study_recipe(options, hardware, seed)
        for each, variant in variants(config).items():
            console.print(f"seed {seed}: {each}")
            kind, folder = kinds.get(each, Trainer), options.out / SUPERNETS
            if kind is not Trainer:  # a checkpoint's name says nothing of it
                folder /= kind.__name__
            trained = train_supernet(
                variant, folder, data, console=console, workers=options.workers, kind=kind
            )
            answers.setdefault(each, []).append(measured(load_supernet(trained), archs, data))
    found = [Trained(each, *map(np.stack, zip(*of, strict=True))) for each, of in answers.items()]
    report = summarize(options, list(seeds), subnets, found)
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(recipes_table(report))
    print(f"Wrote {path}")
    return report


def measured(net: Supernet, archs: list[Arch], data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Measure subnets on the validation images: cross-entropies and right answers.

    Returns
    -------
    losses, correct : (subnets, images) float64, bool
    """
    results = [evaluate_subnet(net, arch, data.validation) for arch in archs]
    return (
        np.stack([each.cross_entropy.astype(float) for each in results]),
        np.stack([each.correct for each in results]),
    )


def summarize(
    options: StudyOptions,
    seeds: list[int],
    subnets: list[tuple[Arch, int]],
    found: list[Trained],
) -> dict[str, Any]:
    """Collect JSON values: of each recipe, and its cross-entropy minus that of the first.

    Intervals resample subnets and images; several seeds are averaged first, and not resampled.
    """
    used = found[0]
    return {
        "schema": SCHEMA,
        "seeds": seeds,
        "quick": options.quick,
        "images": used.losses.shape[-1],
        "recipes": [_of_recipe(each, used) for each in found],
        "subnets": [{"cycles": cycles, "arch": arch.to_json()} for arch, cycles in subnets],
    }


def _of_recipe(each: Trained, used: Trained) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": each.name,
        "cross_entropy": float(each.losses.mean()),
        "cross_entropy_by_seed": each.losses.mean((1, 2)).tolist(),
        "accuracy": float(each.correct.mean()),
        "difference": None,
    }
    if each is used:
        return values
    differences = each.losses - used.losses
    parts = np.array_split(differences.mean(0), PARTS)
    return values | {
        "difference": asdict(crossed_mean(differences.mean(0))),
        "difference_by_seed": [asdict(crossed_mean(of_seed)) for of_seed in differences],
        "difference_by_cycles": [float(part.mean()) for part in parts],
        "accuracy_difference": float(each.correct.mean() - used.correct.mean()),
    }


def recipes_table(report: dict[str, Any]) -> Table:
    """Make the table of a study."""
    result = table(
        "recipe", "accuracy %", "cross-\nentropy", "minus the\nfirst", "by seed",
        "by cycles:\nlow, middle, high",
        text=("recipe",),
        title=f"Recipes of the supernet, seeds {', '.join(map(str, report['seeds']))}",
        caption=f"means of {len(report['subnets'])} subnets in quantized mode on"
        f" {report['images']} validation images; 95 % intervals resample subnets and images",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for each in report["recipes"]:
        cells = [each["name"], f"{100 * each['accuracy']:.2f}", f"{each['cross_entropy']:.4f}"]
        if each["difference"]:
            cells += [
                cell(each["difference"]),
                "\n".join(f"{of_seed['mean']:+.4f}" for of_seed in each["difference_by_seed"]),
                "\n".join(f"{part:+.4f}" for part in each["difference_by_cycles"]),
            ]
        result.add_row(*cells)
    return result
