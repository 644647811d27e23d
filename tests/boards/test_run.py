"""``python -m boards.run``: its table, what it packages on the way, and its refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import boards.run as command_module
from boards.host.errors import ToolError
from boards.run import main
from rtl.config import TINY
from sim.random_model import random_model
from tests.boards.host.engine_model import ModelTransport
from tests.boards.host.networks import small
from tests.documented import found, keys, section

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "[a].package"
    path.write_bytes(small().package.encode())
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "[x].png"
    Image.fromarray(small().images[2, ..., 0]).save(path)
    return path


@pytest.fixture
def device(monkeypatch):
    """The executable instruction set instead of a board."""
    opened = []

    def open_device(name, package):
        opened.append(ModelTransport(TINY, 1 << 20))
        return opened[-1]

    monkeypatch.setattr(command_module, "open_device", open_device)
    return opened


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_table_and_a_report(device, package, picture, tmp_path, capsys):
    report = tmp_path / "run.json"
    assert run("--device", "uio", package, picture, picture, "--json", report) == 0
    printed = capsys.readouterr().out
    best = small().package.meaning.cells(small().logits[2])
    assert printed.startswith("small.pulsar on board sim, 100 MHz\n")
    assert printed.endswith("self-test: equal to the golden model\n")
    assert f"{picture}  {best[0]}" in printed and device[0].closed
    said = json.loads(report.read_text())
    np.testing.assert_array_equal(said["logits"], small().logits[[2, 2]])
    assert said["cycles"] == [100, 100] and said["counters"]["store"]["busy"] == 0
    known = keys("Run")
    assert {*found(said, known), "pool", "features", "indices"} == known
    assert f"| `schema` | {said['schema']} |" in section("Run")


def test_an_integer_model_is_packaged(device, picture, capsys):
    arguments = ("--device", "sim", EXAMPLES / "digits.pulsar", EXAMPLES / "digit-7.png")
    assert run(*arguments, "--batch", 1) == 0
    assert f"{EXAMPLES / 'digit-7.png'}  7 " in capsys.readouterr().out


def test_a_model_that_the_board_s_memory_does_not_hold(picture, tmp_path, capsys):
    random_model().save(tmp_path / "large.pulsar")
    assert run("--device", "sim", "--board", "ulx3s", tmp_path / "large.pulsar", picture) == 2
    said = capsys.readouterr().err
    assert "large.pulsar does not fit the memory of board 'ulx3s': model and one image" in said
    assert "167,488 bytes > 147,456: take a smaller network" in said and said.count("\n") == 1


def test_refused_in_one_line(package, picture, monkeypatch, tmp_path, capsys):
    small_picture = tmp_path / "small.png"
    Image.new("L", (5, 5)).save(small_picture)
    for arguments, message in (
        ((package, picture), "the following arguments are required: --device: --help lists"),
        (("--device", "uio", package), "the following arguments are required: IMAGE"),
        (("--device", "usb", package, picture), "unknown device 'usb': choose one of pynq, serial"),
        (("--device", "sim:3", package, picture), "sim:3: sim takes nothing"),
        (("--device", "serial", package, picture), "serial needs a port"),
        (("--device", "serial:/absent", package, picture), "/absent: No such file or directory"),
        (("--device", "uio", tmp_path / "none", picture), f"{tmp_path}/none: no such file"),
        (("--device", "uio", picture, picture), f"{picture}: not a package: write one with"),
        (("--device", "uio", package, tmp_path / "no.png"), f"{tmp_path}/no.png: no such file"),
        (("--device", "uio", package, small_picture), f"{small_picture}: 5x5 pixels (height x"),
        (("--device", "uio", package, picture, "--batch", 0), "--batch must be at least 1, not 0"),
        (
            ("--device", "uio", package, picture, "--json", tmp_path / "no" / "a.json"),
            f"{tmp_path}/no/a.json: cannot be written",
        ),
        (
            ("--device", "sim", EXAMPLES / "digits.pulsar", picture, "--board", "zcu106"),
            "unknown board 'zcu106': choose one of kv260, sim,",
        ),
    ):
        assert run(*arguments) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"python -m boards.run: error: {message}")


def test_tools_and_interrupts(package, picture, monkeypatch, capsys):
    def fails(error):
        def open_device(*_):
            raise error

        monkeypatch.setattr(command_module, "open_device", open_device)
        return run("--device", "sim", package, picture)

    assert fails(ToolError("Verilator failed")) == 1
    assert fails(KeyboardInterrupt()) == 130
    assert "error: Verilator failed\n" in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0
    assert "serial:PORT" in capsys.readouterr().out


def test_without_a_compiler(picture, monkeypatch, capsys):
    monkeypatch.setattr(command_module, "offered", lambda group: {})
    assert run("--device", "uio", EXAMPLES / "digits.pulsar", picture) == 2
    assert "not a package: write one with python -m rtl.compiler" in capsys.readouterr().err
