"""Versions and logs of Vivado, on programs that say what it says."""

from pathlib import Path

import pytest

from rtl.build import vivado
from rtl.build.vivado import find_vivado, not_run, reason, run_script, version_of
from rtl.errors import ToolError, UserError

LOG = """\
****** Vivado v2024.1 (64-bit)
INFO: [Common 17-206] Exiting
WARNING: [Synth 8-7080] Parallel synthesis criteria is not met
ERROR: [Synth 8-439] module 'pulsar' not found
ERROR: [Common 17-69] Command failed: Synthesis failed
INFO: [Common 17-206] Exiting Vivado at Mon
"""

TCL = """\
# open x
couldn't open "x": no such file or directory
    while executing
"open x"
    (file "pulsar_x_board.tcl" line 1)
INFO: [Common 17-206] Exiting Vivado at Mon
"""
CRITICAL = """\
CRITICAL WARNING: [Board 49-71] a
CRITICAL WARNING: [PSU-1] b
CRITICAL WARNING: [Board 49-71] c
ERROR: [pulsar] critical warnings above
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


def test_a_program_that_does_not_tell_its_version(program, monkeypatch):
    monkeypatch.setattr(vivado, "VERSION_S", 0.2)
    path = program("sleep 600")
    with pytest.raises(UserError) as error:
        version_of(path)
    assert str(error.value).startswith(f"{path} -version took more than 0.2 s: run the script by h")


def test_a_version_beside_bytes_that_are_no_text(program):
    assert version_of(program(r"printf 'Vivado v2024.1 \374\n'")) == "2024.1"


@pytest.mark.parametrize(
    ("log", "code", "said"),
    [
        (LOG, 1, "ERROR: [Synth 8-439] module 'pulsar' not found"),
        ("a\nb\n\n", 1, "b"),
        ("a\nINFO: [Common 17-206] Exiting\n", 1, "a"),
        ("INFO: [Common 17-206] Exiting\n", 1, "it failed without a word"),
        ("", 1, "it failed without a word"),
        (TCL, 1, 'couldn\'t open "x": no such file or directory'),
        ("INFO: loading\n", -9, "ended by SIGKILL: is there enough memory?"),
        (LOG, 128 + 11, "ended by SIGSEGV"),  # as a shell says it
        (CRITICAL, 1, "ERROR: [pulsar] critical warnings above: Board 49-71, PSU-1"),
    ],
)
def test_why_it_failed(log, code, said):
    assert reason(log, code) == said


SCRIPT = "pulsar_x_board.tcl"


def files_of(folder: Path, *suffixes: str) -> list[Path]:
    """Make files of a run."""
    for suffix in suffixes:
        (folder / f"pulsar_x{suffix}").write_text(f"old {suffix}")
    return [folder / f"pulsar_x{suffix}" for suffix in suffixes]


def test_a_run_that_fails(program, tmp_path):
    """The log is named, and its first error said, not its last line."""
    (tmp_path / "text").write_text(LOG)
    path = program("cp text $5", "exit 1")  # -mode batch -nojournal -log LOG
    with pytest.raises(ToolError) as error:
        run_script(path, tmp_path / SCRIPT)
    log = tmp_path / "pulsar_x_board.log"
    assert str(error.value) == f"Vivado: ERROR: [Synth 8-439] module 'pulsar' not found ({log})"


def test_a_run_that_leaves_no_log(program, tmp_path):
    """What it printed becomes the log."""
    with pytest.raises(ToolError, match=r"^Vivado: no licence \(.*pulsar_x_board.log\)$"):
        run_script(program("echo no licence >&2; exit 7"), tmp_path / SCRIPT)
    assert (tmp_path / "pulsar_x_board.log").read_text() == "no licence\n"


def test_nothing_of_an_earlier_run_is_left(program, tmp_path):
    """Neither its log, whose errors were others, nor its products and reports."""
    old = files_of(tmp_path, ".bit", ".hwh", ".xsa", "_board.log", "_board_timing.rpt")
    files_of(tmp_path, "_timing.rpt")  # of the other script, whose run was none of this board
    with pytest.raises(ToolError, match=r"^Vivado: it failed without a word \("):
        run_script(program("exit 1"), tmp_path / SCRIPT)
    assert [file.read_text() for file in old if file.is_file()] == [""]  # the log
    assert (tmp_path / "pulsar_x_timing.rpt").is_file()


def test_a_run_without_products_is_an_error(program, tmp_path):
    files_of(tmp_path, ".bit", ".hwh", ".xsa")
    path = program("touch pulsar_x.hwh")
    with pytest.raises(ToolError) as error:
        run_script(path, tmp_path / SCRIPT)
    log = tmp_path / "pulsar_x_board.log"
    missing = "pulsar_x.bit, pulsar_x.xsa"
    assert str(error.value) == f"Vivado: it ended without an error, and without {missing} ({log})"
    path.write_text("#!/bin/sh\ntouch pulsar_x.bit pulsar_x.hwh pulsar_x.xsa\n")
    made = run_script(path, tmp_path / SCRIPT)
    assert [file.name for file in made] == ["pulsar_x.bit", "pulsar_x.hwh", "pulsar_x.xsa"]


@pytest.mark.parametrize("where", ["$5", "/dev/stdout", "/dev/stderr"])
def test_a_run_that_prints_bytes_that_are_no_text(program, tmp_path, where):
    path = program(rf"printf 'ERROR: \374\n' > {where}; exit 1")
    with pytest.raises(ToolError, match=r"^Vivado: ERROR: \ufffd "):
        run_script(path, tmp_path / SCRIPT)


def test_what_was_not_run_is_said(tmp_path):
    script = tmp_path / SCRIPT
    assert not_run(script, "no Vivado on PATH") == (
        f"Not run (no Vivado on PATH): vivado -mode batch -source {script}. So"
        " there is no pulsar_x.bit, pulsar_x.hwh, pulsar_x.xsa, and clock, resources and"
        " power after place and route are not known."
    )
    files_of(tmp_path, ".bit", ".hwh", ".xsa")
    assert not_run(script, "--no-bitstream") == (
        f"Not run (--no-bitstream): vivado -mode batch -source {script}. The pulsar_x.bit,"
        " pulsar_x.hwh, pulsar_x.xsa there are of an earlier run, of the same Verilog."
    )
