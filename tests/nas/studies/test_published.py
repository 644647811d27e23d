"""README's figures of the studies are those of docs/results."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPLITS = json.loads((ROOT / "docs" / "results" / "splits.json").read_text())
README = (ROOT / "README.md").read_text()


def shown(difference: dict[str, float]) -> str:
    """Write a difference as README does."""
    mean, low, high = (
        f"{difference[name]:+.4f}".replace("-", "\N{MINUS SIGN}").replace("0.", ".")
        for name in ("mean", "low", "high")
    )
    return f"{mean} ({low} … {high})"


@pytest.mark.parametrize("target", SPLITS["targets"], ids=lambda target: target["target_fps"])
def test_a_row_of_the_splits(target):
    cells = [
        f"{target['target_fps']:,.0f}",
        f"{100 * target['accuracy_integer']:.2f}",
        " ".join(f"{100 * each:.1f}" for each in target["accuracy_by_split"]),
        f"{target['cross_entropy']:.3f}".removeprefix("0"),
        shown(target["difference"]["uniform"]),
        shown(target["difference"]["random"]),
    ]
    assert f"| {' | '.join(cells)} |" in README


def test_the_mean_over_all_rates():
    difference = SPLITS["difference"]
    row = f"{shown(difference['uniform'])} | {shown(difference['random'])} |"
    assert f"| all | | | | {row}" in README
    assert not SPLITS["quick"] and SPLITS["schema"] == 1
