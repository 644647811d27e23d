"""The example's end: pictures on the engine, their maps, and what is said of the network."""

from dataclasses import replace

import pytest

from nas.vit import job
from nas.vit.engine import SimulatedImage
from nas.vit.example import Example
from rtl.errors import ToolError


def test_pictures_are_run_compared_and_drawn(made, capsys):
    example, row = made
    shown = job.show(example, row, example.test[:2])
    assert (example.folder / job.MAPS).is_file()
    assert [each.maps.name for each in shown] == ["0", "1"]
    said = capsys.readouterr().out
    assert "every word against golden" in said and f"{row.cost.cycles:,}" in said
    for each in shown:
        assert each.result.mismatches == 0 and each.closeness.corr > 0.99
        assert (each.maps.found != each.maps.expected).any()


def test_an_engine_that_differs_ends_the_command(made, monkeypatch):
    example, row = made
    _, words = example.simulate(row, example.test[0])
    wrong = SimulatedImage(1, 2, 3, 0, "image 0: blocks.0.q, token 1", 0.1)
    monkeypatch.setattr(Example, "simulate", lambda self, made, picture: (wrong, words))
    with pytest.raises(ToolError, match=r"0: the engine differs from golden: image 0: blocks.0.q"):
        job.show(example, row, example.test[:1])
    right = replace(wrong, wrong_instructions=0)
    monkeypatch.setattr(Example, "simulate", lambda self, made, picture: (right, words + 1))
    with pytest.raises(ToolError, match="golden differs from PyTorch's integer mode"):
        job.show(example, row, example.test[:1])


def test_origin_and_licence_are_said(made):
    example, _ = made
    assert job.origin(example) == "network: tiny; of unknown origin"
    source = {"name": "a", "origin": "by b", "license": "MIT", "preprocessing": "resized"}
    example = replace(example)
    example.__dict__["network"] = replace(made[0].network, source=source)
    assert job.origin(example) == "network: a; by b; licence: MIT; resized"
