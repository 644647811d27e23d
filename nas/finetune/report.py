"""Result of fine-tuning a winner: a JSON file, and a row of the terminal's table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from nas.intervals import paired_difference, paired_mean_difference
from nas.search import run_folder
from nas.training.evaluate import Result
from rtl.console import table
from rtl.files import atomic_write

SCHEMA = 1


def report_file(target_fps: float) -> str:
    """Return the name of a winner's JSON file."""
    return run_folder.TUNED.format(f"{target_fps:g}", "json")


def tuned_file(target_fps: float) -> str:
    """Return the name of a winner's fine-tuned integer model."""
    return run_folder.TUNED.format(f"{target_fps:g}", "pulsar")


def compared(before: Result, after: Result) -> dict[str, Any]:
    """Compare answers on the same images: JSON values; differences are after minus before."""
    losses = paired_mean_difference(after.cross_entropy, before.cross_entropy)
    return {
        "images": len(before.correct),
        "before": _figures(before),
        "after": _figures(after),
        "accuracy_difference": asdict(paired_difference(after.correct, before.correct)),
        "cross_entropy_difference": asdict(losses),
    }


def has_helped(figures: dict[str, Any]) -> bool:
    """Say whether training lowered the cross-entropy beyond chance, by what :func:`compared` made.

    The whole of the difference's 95 % interval must lie below 0.
    """
    return figures["cross_entropy_difference"]["high"] < 0


def write_report(path: Path, values: dict[str, Any]) -> None:
    """Write the JSON file, whole or not at all."""
    with atomic_write(path, "w") as file:
        json.dump({"schema": SCHEMA, **values}, file, indent=2)


def finetuning_table(reports: Sequence[dict[str, Any]]) -> Table:
    """Make the table of all winners that were trained."""
    result = table(
        "frames/s", "cycles", "before %", "after %", "points", "cross-entropy", "kept",
        text=("kept",),
        title="Fine-tuning, on the test images",
        caption=f"{reports[0]['test']['images']} images, integer models; differences are paired,"
        " with 95 % intervals",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for each in reports:
        test = each["test"]
        result.add_row(
            f"{each['target_fps']:g}",
            f"{each['cycles']:,}",
            f"{100 * test['before']['accuracy']:.2f}",
            f"{100 * test['after']['accuracy']:.2f}",
            _cell(test["accuracy_difference"], 100, ".2f"),
            _cell(test["cross_entropy_difference"], 1, ".4f"),
            each["kept"],
        )
    return result


def _figures(result: Result) -> dict[str, Any]:
    return {
        "accuracy": result.accuracy,
        "accuracy_interval": list(result.interval),
        "cross_entropy": float(result.cross_entropy.mean()),
    }


def _cell(difference: dict[str, float], factor: float, form: str) -> str:
    mean, low, high = (factor * difference[name] for name in ("mean", "low", "high"))
    return f"{mean:+{form}} ({low:+{form}} … {high:+{form}})"
