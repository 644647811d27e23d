"""Figures of the studies in README and notes are those of docs/results."""

import json
from pathlib import Path

import pytest

from nas import digits
from nas.cost import HardwareTarget
from nas.space import Arch
from rtl.board import load_board
from rtl.config import EngineConfig

ROOT = Path(__file__).parents[3]
SPLITS = json.loads((ROOT / "docs" / "results" / "splits.json").read_text())
README = (ROOT / "README.md").read_text()
WARM = json.loads((ROOT / "docs" / "results" / "warm.json").read_text())
TRIALS = (ROOT / "docs" / "design" / "0016-supernet-trials.md").read_text()
QUANTIZERS = json.loads((ROOT / "docs" / "results" / "quantizers.json").read_text())
KEEPS = [
    json.loads((ROOT / "docs" / "results" / name).read_text())
    for name in ("keep.json", "keep-1.json")
]
SELECTION = (ROOT / "docs" / "token-selection.md").read_text()
NOTE = (ROOT / "docs" / "design" / "0020-quantizers.md").read_text()


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


def note_row(row: dict) -> str:
    """Write a variant as note 20 does."""
    cells = [f"**{row['name']}**" if row["baseline"] else row["name"], row["source"]]
    cells.append("yes" if row["runs"] else "no")
    for way in ("alone", "all", "integer"):
        found = row[way]
        cells.append(f"{found['rel']:.4f}".removeprefix("0") if found else "")
        if way != "integer":
            change = found["change"] if found else None
            cells.append(note_change(change) if change else "")
    return f"| {' | '.join(cells)} |"


def note_change(change: dict[str, float]) -> str:
    mean, low, high = (
        f"{100 * change[name]:+.1f}".replace("-", "\N{MINUS SIGN}")
        for name in ("mean", "low", "high")
    )
    return f"{mean} ({low} … {high})"


@pytest.mark.parametrize(
    "row", QUANTIZERS["variants"], ids=lambda row: f"{row['kind']}, {row['name']}"
)
def test_a_row_of_the_quantizers(row):
    assert note_row(row) in NOTE


def test_the_quantizers_were_measured_in_full():
    assert QUANTIZERS["complete"] and not QUANTIZERS["quick"] and QUANTIZERS["schema"] == 1
    assert (QUANTIZERS["calibration_images"], QUANTIZERS["images"]) == (12, 8)
    assert QUANTIZERS["act_bits"] == 6


@pytest.mark.parametrize("row", WARM["recipes"], ids=lambda row: row["name"])
def test_a_row_of_the_warm_starts(row):
    cells = [row["name"], f"{row['cross_entropy']:.4f}"]
    difference = row["difference"]
    cells.append(signed(difference["mean"], difference) if difference else "")
    cells.append(f"{100 * row['accuracy']:.2f} %")
    if difference:
        cells.append(", ".join(signed(each) for each in row["difference_by_cycles"]))
    else:
        cells.append("")
    assert f"| {' | '.join(cells)} |".replace("|  |", "| |") in TRIALS
    assert (WARM["quick"], WARM["seeds"], WARM["images"]) == (False, [0, 1, 2], 500)


def signed(value: float, interval: dict[str, float] | None = None) -> str:
    text = f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")
    if interval is None:
        return text
    return f"{text} ({signed(interval['low'])} … {signed(interval['high'])})"


def keep_row(target: dict, name: str) -> str:
    """Write a network as the page on token selection does."""
    network = target["networks"][name]
    cells = [f"{target['target_fps']:,.0f}" if name == "dense" else "", name]
    cells.append(", ".join(str(block.get("keep", "all")) for block in network["arch"]["blocks"]))
    fewer = f" (\N{MINUS SIGN}{100 * network['fewer_cycles']:.1f} %)" if name != "dense" else ""
    cells.append(f"{network['cycles']:,}{fewer}")
    for kind in ("shared", "tuned"):
        found, difference = network[kind], network[kind]["difference"]
        cells.append(f"{100 * found['accuracy']:.1f} %")
        cells.append(signed(difference["mean"], difference) if difference else "")
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


@pytest.mark.parametrize("keep", KEEPS, ids=lambda keep: f"seed {keep['seed']}")
def test_rows_of_the_kept_tokens(keep):
    rows = [keep_row(target, name) for target in keep["targets"] for name in target["networks"]]
    assert "\n".join(rows) in SELECTION


@pytest.mark.parametrize("keep", KEEPS, ids=lambda keep: f"seed {keep['seed']}")
def test_the_kept_tokens_are_of_the_recipe_and_the_timing_model_as_they_are(keep):
    engine = EngineConfig(**keep["engine_sizes"])
    hardware = HardwareTarget(load_board(keep["board"]), engine)
    space = digits.KEEPING_DIGITS.tiled(engine.row_lanes)
    config = digits.recipe(space, act_bits=engine.act_bits, seed=keep["seed"])
    assert config.key(digits.load_digits()) == keep["supernet"]
    for target in keep["targets"]:
        for network in target["networks"].values():
            shape = space.shape(Arch.from_json(network["arch"]), keep["tile_order"])
            assert hardware.cycles(hardware.compile(shape)) == network["cycles"]
    assert (keep["quick"], keep["schema"], keep["test_images"]) == (False, 1, 1000)
