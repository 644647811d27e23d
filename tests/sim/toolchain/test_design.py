"""A build's key changes with all that decides what the executable is, and with nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from sim.toolchain.design import SimulatedDesign
from sim.toolchain.tools import Verilator

VERILATOR = Verilator(Path("/bin/verilator"), "5.036")


@pytest.fixture
def design(tmp_path):
    for name in ("top.sv", "model.cpp", "model.h"):
        (tmp_path / name).write_text(name)
    return SimulatedDesign(
        sources=(tmp_path / "top.sv", tmp_path / "model.cpp"),
        top="top",
        arguments=("-Wall",),
        trace=False,
        optimize="-O2",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"top": "other"}, {"arguments": ()}, {"trace": True}, {"optimize": "-O1"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_option_counts(design, change):
    assert replace(design, **change).key(VERILATOR) != design.key(VERILATOR)


@pytest.mark.parametrize("name", ["top.sv", "model.cpp", "model.h"])
def test_every_file_counts_by_its_content(design, tmp_path, name):
    key = design.key(VERILATOR)
    (tmp_path / name).write_text("changed")
    assert design.key(VERILATOR) != key
    (tmp_path / name).write_text(name)
    assert design.key(VERILATOR) == key


def test_other_files_and_the_folder_do_not_count(design, tmp_path):
    key = design.key(VERILATOR)
    (tmp_path / "notes.txt").write_text("not a source")
    assert design.key(VERILATOR) == key
    moved = tmp_path.rename(tmp_path.with_name("moved é"))
    there = replace(
        design,
        sources=(moved / "top.sv", moved / "model.cpp"),
    )
    assert there.key(VERILATOR) == key


@pytest.mark.parametrize(
    "change", [{"version": "5.048"}, {"executable": Path("/x")}, {"make_settings": ("CXX=c++",)}]
)
def test_the_verilator_counts(design, change):
    assert design.key(replace(VERILATOR, **change)) != design.key(VERILATOR)
