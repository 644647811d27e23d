"""A build is made once for what it is made of, where there is room for it."""

import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from rtl.errors import UserError
from sim.toolchain import builder
from sim.toolchain.builder import build
from sim.toolchain.cache import cache_directory
from tests.sim.toolchain.counter import SOURCES


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


@pytest.mark.sim
def test_a_build_is_found_again_and_depends_on_its_content(counter, cache, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(builder, "_compile", refuse)
    assert build(SOURCES, "counter", arguments=["-GSTEP=3"], cache=cache) == counter
    changed = tmp_path / "counter.sv"
    changed.write_text(SOURCES[0].read_text() + "// changed\n")
    for sources, options in [
        (SOURCES, {"arguments": ["-GSTEP=4"]}),
        (SOURCES, {"arguments": ["-GSTEP=3"], "trace": True}),
        ([changed, SOURCES[1]], {"arguments": ["-GSTEP=3"]}),
    ]:
        with pytest.raises(AssertionError, match="compiled again"):
            build(sources, "counter", cache=cache, **options)


def _build_counter(cache: Path) -> None:
    build(SOURCES, "counter", arguments=["-GSTEP=5"], cache=cache)


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
