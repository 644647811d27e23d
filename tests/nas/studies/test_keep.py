"""Selection of tokens beside none: what is chosen, what is written, and how it resumes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nas.digits import KEEPING_DIGITS
from nas.search.evolution import Candidate
from nas.search.evolution_state import Score
from nas.space import Arch
from nas.studies.__main__ import main
from nas.studies.keep import EQUAL, Chosen, Searched, choose, keep_table, selects, target_report
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
    assert report["supernets"]["plain"] != report["supernets"]["keeping"]
    assert report["choosing_images"] < 200 and report["test_images"] == 1000
    for target in report["targets"]:
        dense = target["networks"]["dense"]
        assert dense["difference"] is None and not selects(Arch.from_json(dense["arch"]))
        for name, each in target["networks"].items():
            assert each["fewer_cycles"] == pytest.approx(1 - each["cycles"] / dense["cycles"])
            if name != "dense":
                change = each["cross_entropy"] - dense["cross_entropy"]
                assert each["difference"]["mean"] == pytest.approx(change, abs=1e-6)
                assert each["equal"] == (each["difference"]["high"] <= EQUAL)


def test_a_finished_study_trains_nothing_again(report, folder, args, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    assert json.loads((folder / "keep-0.json").read_text()) == report


def candidate(cycles: int, searched: float, arch: Arch) -> Candidate:
    return Candidate(arch, Score(0.1, searched), cycles)


class Known(Searched):
    """A search whose networks have a known cross-entropy on the images that choose."""

    def __init__(self, *networks: tuple[int, float, float], keeping: bool) -> None:
        self.losses, candidates = {}, []
        for place, (cycles, searched, choosing) in enumerate(networks):
            genes = KEEPING_DIGITS.encode(KEEPING_DIGITS.largest())
            genes[2], genes[12] = place % 3, 0 if keeping else 3
            genes[3] = place // 3
            arch = KEEPING_DIGITS.decode(genes)
            self.losses[arch] = choosing
            candidates.append(candidate(cycles, searched, arch))
        super().__init__(None, None, candidates)

    def _loss(self, arch: Arch) -> float:
        return self.losses[arch]


def test_the_fastest_that_is_no_worse_is_chosen():
    plain = Known(
        (1000, 0.10, 0.12), (990, 0.11, 0.11), (700, 0.2, 0.2), (600, 0.1, 0.3), (1001, 0, 0),
        keeping=False,
    )  # fmt: skip
    keeping = Known(
        (500, 0.12, 0.12),  # worse on the images that choose
        (800, 0.12, 0.11),
        (900, 0.10, 0.10),
        (400, 0.14, 0.05),  # worse by too much on the search images
        keeping=True,
    )
    found = choose(plain, keeping, 1000)
    assert {name: (each.cycles, each.loss) for name, each in found.items()} == {
        "dense": (990, 0.11),
        "selecting": (800, 0.11),
        "smaller": (700, 0.2),
    }
    none = Known((500, 0.12, 0.12), (995, 0.1, 0.1), keeping=True)
    assert [*choose(plain, none, 1000)] == ["dense"]
    fastest = Known((590, 0.1, 0.1), keeping=True)
    assert [*choose(plain, fastest, 1000)] == ["dense", "selecting"]


def test_equal_is_a_matter_of_the_interval():
    losses = np.random.default_rng(0).random(1000)
    arch = KEEPING_DIGITS.largest()
    smaller = replace(arch, width=32)

    def answers(more: float) -> Result:
        return Result(np.zeros(1000), np.ones(1000, bool), losses + more * (1 + losses))

    chosen = {
        "dense": Chosen("plain", arch, 1000, 0.1),
        "selecting": Chosen("keeping", KEEPING_DIGITS.smallest(), 750, 0.1),
        "smaller": Chosen("plain", smaller, 700, 0.2),
    }
    found = target_report(
        9000.0, chosen, {"dense": answers(0), "selecting": answers(0.009), "smaller": answers(0.02)}
    )
    networks = found["networks"]
    assert networks["selecting"]["equal"] and not networks["smaller"]["equal"]
    assert networks["selecting"]["fewer_cycles"] == 0.25
    assert networks["selecting"]["difference"]["mean"] == pytest.approx(0.009 * 1.5, rel=0.02)
    assert found["selecting_minus_smaller"]["high"] < 0
    result = keep_table({"test_images": 1000, "targets": [found]})
    assert list(result.columns[3].cells) == ["", "25.0%", "30.0%"]
    assert list(result.columns[4].cells)[:2] == ["all, all, all, all", "11, all"]
    assert list(result.columns[8].cells) == ["", "yes", "no"]
