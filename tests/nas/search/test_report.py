"""The final report: winners on a stand-in for the RTL, at the one function that simulates."""

from types import SimpleNamespace

import numpy as np
import pytest

from nas.numerics.integer import IntegerNetwork
from nas.search import report
from tests.nas.search.runs import PROG, comparable, copied, run


def stand_in(monkeypatch, mismatches: int = 0, wrong_logits: bool = False) -> list[np.ndarray]:
    seen = []

    def simulate(model, images, hardware, advance):
        seen.append(images.labels.numpy())
        logits = IntegerNetwork(model).run(images.pixels).numpy() + wrong_logits
        first = "blocks.0.q, token 3, row 5, image 1" if mismatches else None
        cycles = [1000 + i for i in range(len(images))]
        return SimpleNamespace(
            output=logits, cycles=cycles, wrong_instructions=mismatches, first_mismatch=first
        )

    monkeypatch.setattr(report, "_simulate", simulate)
    return seen


def test_rtl_runs_images_of_all_classes(runs, monkeypatch):
    seen = stand_in(monkeypatch)
    assert run(runs, "--name", copied(runs, "rtl"), "--images", "16") == 0
    assert [len(labels) for labels in seen] == [16] * 2
    assert all(set(labels) == set(range(10)) for labels in seen)
    for winner in comparable(runs / "rtl")["winners"]:
        assert winner["rtl_images"] == 16
        assert winner["rtl_wrong_instructions"] == winner["rtl_wrong_logits"] == 0
        assert winner["rtl_cycles"] == 1000  # the first image's


@pytest.mark.parametrize(
    ("fault", "first", "wrong"),
    [
        ({"mismatches": 7}, "blocks.0.q, token 3", (7, 0)),
        ({"wrong_logits": True}, "the logits", (0, 40)),
    ],
)
def test_a_mismatch_fails_the_command(fault, first, wrong, runs, monkeypatch, capsys):
    stand_in(monkeypatch, **fault)
    assert run(runs, "--name", copied(runs, "fault"), "--images", "4") == 1
    output = capsys.readouterr().err.splitlines()[-1]
    said = "the engine differs from golden with winner-9500fps.pulsar, first in"
    assert output.startswith(f"{PROG}: error: {said} {first}")
    winners = comparable(runs / "fault")["winners"]  # written all the same
    for winner in winners:
        assert (winner["rtl_wrong_instructions"], winner["rtl_wrong_logits"]) == wrong
