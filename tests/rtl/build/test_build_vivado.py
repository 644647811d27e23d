"""``python -m rtl.build`` for a Zynq: Vivado where it is, and what is said where it is not."""

import json

import pytest

from rtl.board import FOLDER
from rtl.build import __main__ as build
from rtl.build.__main__ import PROG
from tests.rtl.build.builds import run, used

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.usefixtures("quick")
def test_what_vivado_would_have_made_is_said(tmp_path, capsys):
    args = ("--board", "zcu102", "--engine", "small", "--no-synthesis", "--out", str(tmp_path))
    script = tmp_path / "pulsar_small_board.tcl"
    for more, why in (((), "no Vivado on PATH"), (("--no-bitstream",), "--no-bitstream")):
        assert run(*args, *more) == 0
        output = capsys.readouterr()
        assert f"Not run ({why}): vivado -mode batch -source {script}. So there is" in output.out
        assert output.err == ""
    assert "set board_part {xilinx.com:zcu102}" in script.read_text()


@pytest.mark.usefixtures("quick")
def test_a_zynq_without_the_table(tmp_path, capsys):
    """Its engine is built as ever; a line says what is not."""
    board = tmp_path / "mine.toml"
    board.write_text((FOLDER / "zcu102.toml").read_text().partition("[zynq]")[0])
    assert (
        run("--board", str(board), "--engine", "small", "--no-synthesis", "--out", str(tmp_path))
        == 0
    )
    said = "No block design and no overlay: board 'zcu102' has no table [zynq], which a block"
    assert said in capsys.readouterr().out
    assert not (tmp_path / "pulsar_small.dtso").exists()


@pytest.mark.usefixtures("quick")
def test_vivado_is_run(monkeypatch, tmp_path, capsys):
    """What runs in its place finds the script, and a failed run ends with its error."""
    program = tmp_path / "vivado"
    script = "pulsar_small_board.tcl"
    made = "touch pulsar_small.bit pulsar_small.hwh pulsar_small.xsa"
    program.write_text(
        "#!/bin/sh\necho Vivado v2024.1\ntest $1 = -version && exit\n"
        f"test -f {script} && test -f pulsar_small.json && {made}\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(build, "find_vivado", lambda: program)
    monkeypatch.setattr(build, "synthesise", used(lut=1000))
    args = ("--board", "zcu102", "--engine", "small", "--out", str(tmp_path))
    assert run(*args, "--require-bitstream") == 0
    assert f"{tmp_path / 'pulsar_small.xsa'}" in capsys.readouterr().out
    report = tmp_path / "pulsar_small.json"
    assert "vivado_s" in json.loads(report.read_text())
    report.unlink()
    program.write_text(
        "#!/bin/sh\necho Vivado v2024.1\ntest $1 = -version && exit\necho ERROR: no part; exit 1\n"
    )
    assert run(*args) == 1
    error = capsys.readouterr().err
    log = (tmp_path / script).with_suffix(".log")
    assert error == f"{PROG}: error: Vivado: ERROR: no part ({log})\n"
    assert not (tmp_path / "pulsar_small.bit").exists()
    assert json.loads(report.read_text())["lut"] == 1000  # what was counted before is not lost
    program.write_text("#!/bin/sh\necho Vivado v2024.1\n")
    assert run(*args) == 1
    assert "it ended without an error, and without pulsar_small.bit, pu" in capsys.readouterr().err
    program.write_text("#!/bin/sh\necho Vivado v1.0\n")
    monkeypatch.setattr(build, "emit_rtlil", None)  # nothing long is begun
    assert run(*args) == 2
    assert "which is no known version" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_bitstream_of_other_verilog_is_removed(monkeypatch, tmp_path, capsys):
    """One of the same Verilog, which took hours, stays."""
    args = ("--board", "zcu102", "--engine", "small", "--no-synthesis", "--no-bitstream")
    args = (*args, "--out", str(tmp_path))
    names = (".bit", ".hwh", ".xsa", "_board_power.rpt")
    products = [tmp_path / f"pulsar_small{name}" for name in names]
    removed = f"Removed, as made of other Verilog: {', '.join(map(str, products))}\n"

    def left() -> list[bool]:
        return [file.exists() for file in products]

    for file in products:
        file.touch()
    assert run(*args) == 0
    assert removed in capsys.readouterr().out and not any(left())
    for file in products:
        file.touch()
    assert run(*args) == 0
    assert "are of an earlier run, of the same Verilog" in capsys.readouterr().out and all(left())
    monkeypatch.setattr(build, "verilog_of", lambda *_, **__: "module")
    assert run(*args) == 0
    assert removed in capsys.readouterr().out and not any(left())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--board", "sim", "--require-bitstream"], "board 'sim' has no table [zynq], which a blo"),
        (["--board", "zcu102", "--require-bitstream"], "no Vivado on PATH: source its settings64"),
        (
            ["--board", "zcu102", "--require-bitstream", "--no-bitstream"],
            "--require-bitstream and --no-bitstream exclude each other",
        ),
        (
            ["--board", "NARROW"],
            "does not fit the ports of board 'zcu102': memory_bytes 64 > 32, 2",
        ),
    ],
)
def test_bitstreams_that_cannot_be(args, message, monkeypatch, tmp_path, capsys):
    """They are refused before anything long."""
    monkeypatch.setattr(build, "emit_rtlil", None)
    narrow = tmp_path / "narrow.toml"
    narrow.write_text((FOLDER / "zcu102.toml").read_text().replace("ports = 4", "ports = 2"))
    args = [str(narrow) if arg == "NARROW" else arg for arg in args]
    assert run(*args, "--out", str(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{PROG}: error: {message}") and error.count("\n") == 1
