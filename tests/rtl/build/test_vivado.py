"""Versions and logs of Vivado, on programs that say what it says."""

from pathlib import Path

import pytest

from rtl.build.vivado import find_vivado, first_error, not_run, run_script, version_of
from rtl.errors import ToolError, UserError

LOG = """\
****** Vivado v2024.1 (64-bit)
INFO: [Common 17-206] Exiting
WARNING: [Synth 8-7080] Parallel synthesis criteria is not met
ERROR: [Synth 8-439] module 'pulsar' not found
ERROR: [Common 17-69] Command failed: Synthesis failed
INFO: [Common 17-206] Exiting Vivado at Mon
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make a program ``vivado`` of a few lines of shell, alone on PATH beside the shell's tools."""

    def make(*lines: str) -> Path:
        path = tmp_path / "bin" / "vivado"
        path.parent.mkdir()
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        return path

    return make


def test_it_is_looked_for_on_path(program, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_vivado() is None
    path = program("exit 0")
    assert find_vivado() == path


@pytest.mark.parametrize("said", ["Vivado v2022.1 (64-bit)", "vivado v2025.2.1 (64-bit)"])
def test_versions_that_are_known(program, said):
    assert version_of(program(f"echo '{said}'", "echo SW Build 1")) in said


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["echo 'Vivado v2019.2 (64-bit)'"], "is version 2019.2, not one from 2022.1 to 2025.2: "),
        (["echo 'Vivado v2031.1'"], "is version 2031.1, not one from 2022.1 to 2025.2: run the"),
        (["echo hello", "echo again"], "says 'hello', which is no known version: run the script"),
        (["echo no licence >&2", "exit 1"], "says 'no licence', which is no known version: run"),
        (["exit 0"], "says '', which is no known version: run the script by hand, and add --no-b"),
    ],
)
def test_versions_that_are_not(program, lines, message):
    path = program(*lines)
    with pytest.raises(UserError) as error:
        version_of(path)
    assert str(error.value).startswith(f"{path} {message}")
    assert "\n" not in str(error.value)


def test_a_program_that_does_not_start(tmp_path):
    with pytest.raises(UserError, match="vivado: No such file or directory: run the script by ha"):
        version_of(tmp_path / "vivado")


def test_the_first_error_of_a_log():
    assert first_error(LOG) == "ERROR: [Synth 8-439] module 'pulsar' not found"
    assert first_error("a\nb\n\n") == "b"
    assert first_error("") == "it failed without a word"


def test_a_run_that_fails(program, tmp_path):
    """The log is named, and its first error said, not its last line."""
    script = tmp_path / "design_board.tcl"
    script.write_text("")
    (tmp_path / "text").write_text(LOG)
    path = program("cp text $5", "exit 1")  # -mode batch -nojournal -log LOG
    with pytest.raises(ToolError) as error:
        run_script(path, script)
    log = tmp_path / "design_board.log"
    assert str(error.value) == f"Vivado: ERROR: [Synth 8-439] module 'pulsar' not found ({log})"


def test_a_run_that_leaves_no_log(program, tmp_path):
    with pytest.raises(ToolError, match=r"^Vivado: no licence \(.*design_board.log\)$"):
        run_script(program("echo no licence >&2; exit 7"), tmp_path / "design_board.tcl")


def test_what_was_not_run_is_said():
    said = not_run(Path("out/pulsar_tiny_board.tcl"), "no Vivado on PATH")
    assert said == (
        "Not run (no Vivado on PATH): vivado -mode batch -source out/pulsar_tiny_board.tcl. So"
        " there is no pulsar_tiny.bit, pulsar_tiny.hwh, pulsar_tiny.xsa, and clock, resources and"
        " power after place and route are not known."
    )
