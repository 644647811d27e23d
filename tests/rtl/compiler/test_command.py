"""``python -m rtl.compiler``."""

import json

import pytest

from rtl.cli import command
from rtl.compiler.__main__ import main
from rtl.isa.instructions import Instruction
from sim.random_model import random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.pulsar"
    random_model(patch=14, width=16, blocks=((1, 16),), classes=3).save(path)
    return path


def run(*arguments):
    return command(main, prog="python -m rtl.compiler", args=[str(a) for a in arguments])


def test_files_and_report(model, tmp_path, capsys):
    assert run(model, "--out", tmp_path / "out") == 0
    assert "frames per second" in capsys.readouterr().out
    out = tmp_path / "out"
    report = json.loads((out / "report.json").read_text())
    memory = json.loads((out / "memory.json").read_text())
    region = (out / "model.bin").read_bytes()
    assert report["schema"] == 1 and report["cycles"] > report["cycles_per_image"] > 0
    assert memory["hash"] == report["hash"] and memory["model_bytes"] == len(region)
    Instruction.decode(region[memory["program_offset"] :][:32])
    lines = (out / "program.txt").read_text().splitlines()
    assert len(lines) == len(json.loads((out / "symbols.json").read_text()))
    for buffer in report["buffers"].values():
        assert 0 <= buffer["used"] <= buffer["available"]


def test_disassembly(model, capsys):
    assert run(model, "--disassemble") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["0", "BEGIN"] and lines[-1].split()[1] == "END"
    assert any("; blocks.0.scores tokens" in line for line in lines)


def test_a_model_that_does_not_fit_gives_one_line(model, capsys):
    assert run(model, "--board", "zcu102") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "row_granularity 16 is no multiple of row_lanes 32" in error
