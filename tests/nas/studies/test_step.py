"""Time and memory of a step, beside timm's."""

import json

import torch
from torch import nn

from nas.studies.options import StudyOptions
from nas.studies.step import run, saved_bytes


def test_bytes_that_wait_for_the_backward_pass():
    layer, x = nn.Linear(10, 6), torch.zeros(5, 10)
    assert saved_bytes(layer, lambda: layer(x).sum()) == 5 * 10 * 4
    assert saved_bytes(layer, lambda: (layer(x) + layer(x)).relu().sum()) == 5 * (10 + 6) * 4


def test_a_step_of_each_network(tmp_path, capsys):
    run(StudyOptions("step", out=tmp_path, quick=True))
    result = json.loads((tmp_path / "step.json").read_text())
    reference, exact, quantized = result["steps"]
    assert [step["network"] for step in result["steps"]] == ["timm", "float", "quantized"]
    assert reference["saved_ratio"] == reference["time_ratio"] == 1
    assert exact["saved_ratio"] < 1.2
    # One image: the codes of the weights weigh more than with many.
    assert reference["saved_bytes"] < quantized["saved_bytes"] < 3 * reference["saved_bytes"]
    assert all(step["seconds"] > 0 for step in result["steps"])
    assert "quantized" in capsys.readouterr().out
