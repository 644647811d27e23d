"""``python -m rtl.build``: files, report, table, and what it says when something is wrong."""

import json
import re
from dataclasses import replace

import pytest

from rtl.board import FOLDER
from rtl.build import __main__ as build
from rtl.build import verilog as emit
from rtl.build.__main__ import PROG
from rtl.config import TINY
from tests.rtl.build.builds import run, used
from tests.rtl.build.netlist.netlists import Cells, design
from tests.rtl.sizes import SMALL

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.config.ENGINES, "small", SMALL)
        patch.setattr(build, "find_vivado", lambda: None)
        args = ("--board", "zcu102", "--engine", "small", "--no-synthesis", "--out", str(folder))
        assert run(*args) == 0
    return folder


def test_files_of_a_build(built):
    assert sorted(file.name for file in built.iterdir()) == [
        f"pulsar_small{suffix}"
        for suffix in (".dtso", ".json", ".tcl", ".v", ".xdc", "_board.tcl", "_top.v")
    ]
    assert "-part xczu9eg-ffvb1156-2-e" in (built / "pulsar_small.tcl").read_text()
    assert "-period 6.667" in (built / "pulsar_small.xdc").read_text()


def test_verilog_is_plain_and_complete(built):
    verilog = (built / "pulsar_small.v").read_text()
    modules = set(re.findall(r"^module (\S+?)\s*\(", verilog, re.M))
    assert "pulsar_small" in modules
    assert not re.search(r"^\s*assert ", verilog, re.M)  # Vivado reads .v as Verilog-2001


def test_the_same_engine_gives_the_same_verilog(built, tmp_path):
    args = ("--board", "zcu102", "--engine", "small", "--no-synthesis", "--out", str(tmp_path))
    assert run(*args) == 0
    assert (tmp_path / "pulsar_small.v").read_bytes() == (built / "pulsar_small.v").read_bytes()


def test_a_device_gets_its_own_primitives(built, tmp_path):
    assert " DSP48E2 #(" in (built / "pulsar_small.v").read_text()
    args = ("--board", "ulx3s", "--engine", "small", "--no-synthesis", "--no-bitstream")
    assert run(*args, "--out", str(tmp_path)) == 0
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".v"]  # no Vivado there
    assert "DSP48E2" not in (tmp_path / "pulsar_small.v").read_text()


def test_memories_start_as_zeros(built):
    verilog = (built / "pulsar_small.v").read_text()
    memories = re.findall(r"^  reg (?:\[\d+:0\] )?(\S+) ? \[\d+:0\];\n(.*)\n(.*)$", verilog, re.M)
    assert memories
    for _, following, initial in memories:
        assert "initial" in following + initial


def test_report(built):
    report = json.loads((built / "pulsar_small.json").read_text())
    assert report["schema"] == build.SCHEMA
    assert (report["board"], report["engine"]["name"]) == ("zcu102", "small")
    assert len(report["verilog_sha256"]) == 64
    assert report["elapsed_s"] > 0


def test_resources_are_reported(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "synthesise", used(lut=1000))
    copy = tmp_path / "elsewhere" / "report.json"
    args = ("--board", "zcu102", "--engine", "small", "--out", str(tmp_path), "--json", str(copy))
    assert run(*args) == 0
    report = json.loads(copy.read_text())
    assert report == json.loads((tmp_path / "pulsar_small.json").read_text())
    assert (report["dsp"], report["lut"], report["ff"], report["bram36"]) == (3, 1000, 7, 1.5)
    assert report["excess"] is None
    assert report["limits"]["lut"] == 274_080
    assert report["modules"]["pulsar_small.matmul"] == {
        "instances": 1, "dsp": 3, "lut": 1000, "ff": 5, "bram36": 1.5, "uram": 0,
    }  # fmt: skip
    output = capsys.readouterr()
    assert "warning" not in output.err
    assert re.search(r"total .* 1,000 ", output.out)


def test_levels_are_reported(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "synthesise", used(lut=1000))
    args = ("--board", "zcu102", "--engine", "small", "--out", str(tmp_path), "--paths", "2")
    assert run(*args) == 0
    report = json.loads((tmp_path / "pulsar_small.json").read_text())
    assert (report["max_lut_levels"], report["max_lut_levels_carry_apart"]) == (7, 7)
    assert report["lut_levels"]["matmul"] == {
        "levels": 6, "apart": 6, "from_inputs": 0, "to_outputs": 7, "ends": {"6": 1},
    }  # fmt: skip
    assert [path["end"] for path in report["worst_paths"]] == ["irq", "matmul.count.D"]
    assert report["worst_paths"][1] == {
        "levels": 6, "ends": 1, "start": "matmul.row (FDRE)", "end": "matmul.count.D",
        "through": ["matmul: LUT1 n1, LUT1 n2, LUT1 n3, LUT1 n4, LUT1 n5, LUT1 n6"],
    }  # fmt: skip
    assert report["combinational_through"] == []
    blocks = report["without_output_register"]
    assert (blocks["bram"], blocks["bram_absorbable"], blocks["dsp"]) == (1, 0, 0)
    assert blocks["modules"] == {"pulsar_small.matmul": {"bram": 1}}
    assert report["fan_outs"] == [
        {"net": "matmul.n6", "driver": "LUT1", "loads": 2, "enables": 0, "resets": 0},
        {"net": "matmul.n0", "driver": "RAMB36E2", "loads": 2, "enables": 0, "resets": 0},
        {"net": "matmul.row", "driver": "FDRE", "loads": 2, "enables": 0, "resets": 0},
    ]
    assert report["levels_s"] + report["synthesis_s"] <= report["elapsed_s"]
    output = capsys.readouterr().out
    assert re.search(r"matmul +│ +6 │ +6 │ +0 │ +7 │ +│ +1 │", output)
    assert "6 levels to 1 bit: matmul.row (FDRE) -> matmul.count.D\n    matmul: LUT1 n1," in output
    assert "0 DSPs (0 can take in the flip-flops behind them), 1 BRAMs (0)" in output


@pytest.mark.usefixtures("quick")
def test_ports_that_are_too_narrow_are_a_warning(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(build.config.ENGINES, "wide", replace(TINY, name="wide", memory_bytes=32))
    assert run("--engine", "wide", "--no-synthesis", "--out", str(tmp_path)) == 0
    warning = "does not fit the ports of board 'sim': memory_bytes 32 > 16, 1 x 128 bits"
    assert f"{PROG}: warning: {warning}" in capsys.readouterr().err
    report = json.loads((tmp_path / "pulsar_wide.json").read_text())
    assert report["narrow_ports"].startswith(warning)


def test_the_script_for_vivado_works_from_everywhere(built):
    """It names each file by its own folder, and keeps the copies of registers."""
    script = (built / "pulsar_small.tcl").read_text()
    commands = [line for line in script.splitlines() if not line.startswith(("#", "set here"))]
    files = [re.search(r"\S*pulsar_small\S*\.\w+", line) for line in commands]
    assert sum(file is not None for file in files) == 6
    for line, file in zip(commands, files, strict=True):
        assert file is None or f"[file join $here {file[0]}" in line
    assert "-keep_equivalent_registers" in script


@pytest.mark.usefixtures("quick")
def test_ports_that_slow_the_engine_down_are_a_warning(tmp_path, capsys):
    single = tmp_path / "single.toml"
    single.write_text((FOLDER / "zcu102.toml").read_text().replace('"HP0", "HP3"', '"HP0"'))
    assert run("--board", str(single), "--no-synthesis", "--out", str(tmp_path)) == 0
    warning = "HP0 of board 'zcu102': 4.8 GB/s < 9.6, with which cycles are predicted"
    assert f"{PROG}: warning: {warning}" in capsys.readouterr().err
    assert json.loads((tmp_path / "pulsar_zcu102.json").read_text())["narrow_ports"]


def test_paths_that_are_printed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "synthesise", used(lut=1000))
    args = ("--board", "zcu102", "--engine", "small", "--out", str(tmp_path))
    assert run(*args, "--paths", "0") == 0
    assert "levels to" not in capsys.readouterr().out
    assert len(json.loads((tmp_path / "pulsar_small.json").read_text())["worst_paths"]) == 2


def test_a_combinational_loop_is_an_error(monkeypatch, tmp_path, capsys):
    synthesis = used(lut=1000)()
    cells = Cells()
    cells.lut("a", "b")
    cells.lut("b", "a")
    looped = replace(synthesis, netlist=design(pulsar_small=cells))
    monkeypatch.setattr(build, "synthesise", lambda *_, **__: looped)
    assert run("--board", "zcu102", "--engine", "small", "--out", str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert re.search(
        rf"^{PROG}: error: combinational loop: (a -> b -> a|b -> a -> b)$", error, re.M
    )


def test_what_exceeds_the_board_is_marked_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "synthesise", used(lut=300_000))
    assert run("--board", "zcu102", "--engine", "small", "--out", str(tmp_path)) == 0
    output = capsys.readouterr()
    warning = "does not fit board 'zcu102': lut 300,000 > 274,080"
    assert f"{PROG}: warning: {warning}\n" in output.err
    assert "exceeds" in output.out
    assert json.loads((tmp_path / "pulsar_small.json").read_text())["excess"] == warning
    assert (tmp_path / "pulsar_small.v").is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--board", "zcu106"],
            "unknown board 'zcu106': choose one of kv260, sim, ulx3s, zcu102, zcu104",
        ),
        (["--engine", "huge"], "unknown engine 'huge': choose one of tiny, ulx3s, zcu102"),
        (["--paths", "-1"], "--paths must be at least 0, not -1"),
        (["--out", "/dev/null/build"], "Not a directory: "),
        (["--json", "/dev/null/report.json"], "Not a directory: /dev/null"),
    ],
)
def test_wrong_input_is_one_line(args, message, tmp_path, capsys):
    args = args if "--out" in args else [*args, "--out", str(tmp_path)]
    assert run(*args) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{PROG}: error: {message}")


@pytest.mark.parametrize(
    ("board", "suffixes"),
    [
        ("sim", (".json", ".v")),
        ("ulx3s", (".v", ".bit")),
        ("zcu102", (".v", "_top.v", ".tcl", ".xdc", "_board.tcl", ".dtso", "_board.log", ".xsa")),
    ],
)
def test_files_that_may_not_be_written(board, suffixes, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "emit_rtlil", None)  # nothing long is begun
    for suffix in suffixes:
        target = tmp_path / suffix / f"pulsar_tiny{suffix}"
        target.mkdir(parents=True)  # in the way; root may write everywhere
        assert run("--board", board, "--engine", "tiny", "--out", str(target.parent)) == 2
        assert capsys.readouterr().err == f"{PROG}: error: Is a directory: {target}\n"
        assert [file.name for file in target.parent.iterdir()] == [target.name]


def test_a_device_whose_cells_nobody_counts(monkeypatch, tmp_path, capsys):
    """It is refused before anything long, and its Verilog is there for the asking."""
    board = tmp_path / "my board.TOML"
    text = (FOLDER / "zcu102.toml").read_text().partition("[zynq]")[0]
    board.write_text(text.replace("xczu9eg-ffvb1156-2-e", "xc7z020clg400-1"))
    args = ("--board", str(board), "--engine", "small", "--out", str(tmp_path / "out"))
    with monkeypatch.context() as patch:
        patch.setattr(build, "emit_rtlil", None)
        assert run(*args) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{PROG}: error: resources of device 'xc7z020clg400-1' cannot be count")
    assert error.count("\n") == 1
    assert run(*args, "--no-synthesis") == 0
    assert "-part xc7z020clg400-1" in (tmp_path / "out" / "pulsar_small.tcl").read_text()


def test_without_yosys(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(emit.importlib.util, "find_spec", lambda name: None)
    assert run("--out", str(tmp_path)) == 2
    assert capsys.readouterr().err == (
        f"{PROG}: error: Yosys not found: pip install 'pulsar-vit[rtl]'\n"
    )


def test_help_says_what_is_written(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    text = " ".join(capsys.readouterr().out.split())
    words = ("Vivado", "constraints", "vivado -mode", "levels of logic", "longest paths")
    for word in (*words, "--board", "--engine", "--no-synthesis", "--paths", "--flatten"):
        assert word in text
