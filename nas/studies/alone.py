"""Subnets with the supernet's weights, beside the same subnets trained alone.

Both are integer models, measured on the test images. Nothing is chosen by these measurements.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nas.cost import ExactCosts, HardwareTarget, SubnetCosts
from nas.space import Arch
from nas.studies.answers import integer_answers
from nas.studies.options import StudyOptions
from nas.studies.resampling import cell, crossed_mean
from nas.studies.setup import begin, study_data, study_recipe
from nas.studies.spread import spread_by_cycles
from nas.task.options import SUPERNETS
from nas.testset import load_digits_test
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import Result
from nas.training.train import train_supernet
from rtl.console import print_tables, table
from rtl.files import atomic_write

SCHEMA = 1
SUBNETS = 12  # if not said otherwise


@dataclass(frozen=True, eq=False)
class Pair:
    """A subnet with shared weights and with its own, on the same test images.

    Parameters
    ----------
    arch : Arch
    cycles : int
        Cycles per image.
    shared, alone : Result
    """

    arch: Arch
    cycles: int
    shared: Result
    alone: Result


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    path, console = begin(options, f"alone-{options.seed}")
    hardware = HardwareTarget.load(options.board)
    data, test = study_data(options), load_digits_test()
    config = study_recipe(options, hardware, options.seed)
    folder = options.out / SUPERNETS
    shared = load_supernet(
        train_supernet(config, folder, data, console=console, workers=options.workers)
    )
    pairs: list[Pair] = []
    costs = SubnetCosts(hardware, shared.config.space, ExactCosts(), shared.order)
    subnets = options.subnets or SUBNETS
    for arch, cycles in spread_by_cycles(costs, subnets, options.seed):
        console.print(f"subnet {len(pairs) + 1} of {subnets}, {cycles:,} cycles")
        own = replace(config, alone=arch)
        alone = load_supernet(train_supernet(own, folder, data, console=console))
        answers = (integer_answers(net, arch, data, test) for net in (shared, alone))
        pairs.append(Pair(arch, cycles, *answers))
    report = summarize(options, pairs)
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(comparison(pairs, report))
    print(f"Wrote {path}")
    return report


def summarize(options: StudyOptions, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Collect JSON values: of each subnet, and means with 95 % intervals.

    Differences are shared minus alone; intervals resample subnets and images.
    """
    accuracy, loss = (
        crossed_mean(np.stack([read(pair.shared) - read(pair.alone) for pair in pairs]))
        for read in (_correct, _loss)
    )
    return {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "accuracy_difference": asdict(accuracy),
        "cross_entropy_difference": asdict(loss),
        "subnets": [
            {
                "cycles": pair.cycles,
                "accuracy_shared": pair.shared.accuracy,
                "accuracy_alone": pair.alone.accuracy,
                "cross_entropy_shared": float(pair.shared.cross_entropy.mean()),
                "cross_entropy_alone": float(pair.alone.cross_entropy.mean()),
                "arch": pair.arch.to_json(),
            }
            for pair in pairs
        ],
    }


def comparison(pairs: Sequence[Pair], report: dict[str, Any]) -> Table:
    """Make the table of a study."""
    result = table(
        "cycles", "accuracy %\nshared", "\nalone", "\ndifference",
        "cross-entropy\nshared", "\nalone", "\ndifference",
        text=(),
        title="Subnets with the supernet's weights, and trained alone for as many steps",
        caption="integer models on the 1,000 test images; differences are shared minus alone;"
        " 95 % intervals resample subnets and images",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for pair in pairs:
        right = [100 * each.accuracy for each in (pair.shared, pair.alone)]
        losses = [float(each.cross_entropy.mean()) for each in (pair.shared, pair.alone)]
        result.add_row(
            f"{pair.cycles:,}",
            *(f"{each:.1f}" for each in right),
            f"{right[0] - right[1]:+.1f}",
            *(f"{each:.4f}" for each in losses),
            f"{losses[0] - losses[1]:+.4f}",
        )
    points = {name: 100 * value for name, value in report["accuracy_difference"].items()}
    loss = cell(report["cross_entropy_difference"])
    result.add_section()
    result.add_row("mean", "", "", cell(points, 2), "", "", loss)
    return result


def _correct(result: Result) -> np.ndarray:
    return result.correct.astype(float)


def _loss(result: Result) -> np.ndarray:
    return result.cross_entropy.astype(float)
