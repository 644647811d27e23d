"""Selection of tokens beside none: what is chosen, what is written, and how it resumes."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from nas.digits import KEEPING_DIGITS
from nas.search.evolution import Candidate
from nas.search.evolution_state import Score
from nas.space import Arch
from nas.studies.__main__ import main
from nas.studies.keep import EQUAL, Chosen, NetworkChoice, keep_table, selecting, target_report
from nas.training.evaluate import Result
from nas.training.trainer import Trainer
from rtl.cli import command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def args(folder):
    return "keep", "--quick", "--out", str(folder)


@pytest.fixture(scope="module")
def report(folder, args) -> dict:
    assert command(main, prog="python -m nas.studies", args=args) == 0
    return json.loads((folder / "keep-0.json").read_text())


def test_the_report_compares_with_the_network_that_keeps_all(report):
    assert report["quick"] and report["engine_sizes"]["select_tokens"] == 256
    assert len(report["supernet"]) == 64 and "blocks.0.q" in report["tile_order"]
    assert report["choosing_images"] < 200 and report["test_images"] == 1000
    for target in report["targets"]:
        dense = target["networks"]["dense"]
        assert not any("keep" in block for block in dense["arch"]["blocks"])
        for name, each in target["networks"].items():
            assert each["fewer_cycles"] == pytest.approx(1 - each["cycles"] / dense["cycles"])
            for kind in ("shared", "tuned"):
                change = each[kind]["difference"]
                if name == "dense":
                    assert change is None and each[kind]["equal"] is None
                    continue
                mean = each[kind]["cross_entropy"] - dense[kind]["cross_entropy"]
                assert change["mean"] == pytest.approx(mean, abs=1e-6)
                assert each[kind]["equal"] == (change["high"] <= EQUAL)
            assert each["shared"]["cross_entropy"] != each["tuned"]["cross_entropy"]


def test_a_finished_study_trains_nothing_again(report, folder, args, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    assert json.loads((folder / "keep-0.json").read_text()) == report


def dense_networks() -> list[Arch]:
    widths = [replace(KEEPING_DIGITS.largest(), width=width) for width in KEEPING_DIGITS.widths]
    return [*widths, KEEPING_DIGITS.largest(0.0)]


def test_every_choice_of_patches_kept():
    largest = KEEPING_DIGITS.largest()
    found = selecting(KEEPING_DIGITS, largest)
    assert len(found) == len(set(found)) == 19  # falling numbers in some of three blocks
    keeps = {tuple(block.keep for block in arch.blocks) for arch in found}
    assert (35, None, 11, None) in keeps and (35, 23, 11, None) in keeps
    assert (None,) * 4 not in keeps and (11, 23, None, None) not in keeps
    assert {replace(arch, blocks=largest.blocks) for arch in found} == {largest}


def choice(losses: dict[Arch, tuple[float, float]], cycles: Mapping[Arch, float]) -> NetworkChoice:
    """Choose among known networks; ``losses`` on the search images and on those that choose."""
    dense = [
        Candidate(arch, Score(0.1, losses[arch][0]), int(cycles[arch])) for arch in dense_networks()
    ]

    def cycles_of(archs: Sequence[Arch]) -> list[float]:
        return [cycles.get(arch, 2000.0) for arch in archs]

    def loss(place: int) -> Callable[[Arch], float]:
        return lambda arch: losses[arch][place]

    return NetworkChoice(KEEPING_DIGITS, dense, cycles_of, loss(0), loss(1))


def test_the_fastest_that_is_no_worse_is_chosen():
    small, middle, large, largest = dense_networks()
    first, second, third = selecting(KEEPING_DIGITS, large)[:3]
    losses = {
        small: (0.20, 0.20),
        middle: (0.15, 0.11),
        large: (0.10, 0.12),
        largest: (0.01, 0.01),
        first: (0.14, 0.12),  # worse than the best that keeps all, on the images that choose
        second: (0.15, 0.10),
        third: (0.17, 0.01),  # worse by too much on the search images
    }
    cycles = {small: 700, middle: 990, large: 1000, largest: 1001}
    cycles |= {first: 600, second: 800, third: 500}
    found = choice(losses, cycles).networks(1000)
    assert {name: (each.arch, each.cycles, each.loss) for name, each in found.items()} == {
        "dense": (middle, 990, 0.11),
        "selecting": (second, 800, 0.10),
        "smaller": (small, 700, 0.20),
    }
    assert [*choice(losses, cycles | {second: 600}).networks(1000)] == ["dense", "selecting"]
    assert [*choice(losses, cycles | {second: 990}).networks(1000)] == ["dense"]


def test_equal_is_a_matter_of_the_interval():
    losses = np.random.default_rng(0).random(1000)
    arch = KEEPING_DIGITS.largest()

    def answers(shared: float, tuned: float) -> dict[str, Result]:
        return {
            name: Result(np.zeros(1000), np.ones(1000, bool), losses + more * (1 + losses))
            for name, more in (("shared", shared), ("tuned", tuned))
        }

    chosen = {
        "dense": Chosen(arch, 1000, 0.1),
        "selecting": Chosen(KEEPING_DIGITS.smallest(), 750, 0.1),
        "smaller": Chosen(replace(arch, width=32), 700, 0.2),
    }
    found = target_report(
        9000.0,
        chosen,
        {
            "dense": answers(0, 0.1),
            "selecting": answers(0.009, 0.12),
            "smaller": answers(0.02, 0.1),
        },
    )
    networks = found["networks"]
    assert networks["selecting"]["shared"]["equal"] and not networks["smaller"]["shared"]["equal"]
    assert not networks["selecting"]["tuned"]["equal"] and networks["smaller"]["tuned"]["equal"]
    assert networks["selecting"]["fewer_cycles"] == 0.25
    change = networks["selecting"]["shared"]["difference"]
    assert change["mean"] == pytest.approx(0.009 * 1.5, rel=0.02)
    assert found["selecting_minus_smaller"]["shared"]["high"] < 0
    assert found["selecting_minus_smaller"]["tuned"]["low"] > 0
    result = keep_table({"test_images": 1000, "targets": [found]})
    columns = [list(column.cells) for column in result.columns]
    assert columns[3] == ["0.0%", "", "25.0%", "", "30.0%", ""]
    assert columns[4][:4] == ["all, all, all, all", "", "11, all", ""]
    assert columns[9] == ["", "", "yes", "no", "no", "yes"]
