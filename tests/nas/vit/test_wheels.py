"""Wheels: fetched once, checked by hash, read without being installed."""

import hashlib
import subprocess
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from nas.vit.wheels import Wheel, sha256_of_file
from rtl.errors import ToolError, UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path))
    return tmp_path


def archive(folder: Path) -> str:
    """Write a wheel with one file into a folder; return its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "thing-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as file:
        file.writestr("thing/data.bin", b"content")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pip(monkeypatch, code: int = 0, said: str = "") -> list[list[str]]:
    """Put a pip in place that downloads a wheel, or fails; return its command lines."""
    calls = []

    def run(command, **options):
        calls.append(command)
        if not code:
            archive(Path(command[command.index("--dest") + 1]))
        return SimpleNamespace(returncode=code, stderr=said)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_a_wheel_is_downloaded_once(monkeypatch, cache):
    calls = pip(monkeypatch)
    wheel = Wheel("thing", "1.0")
    assert wheel.read("thing/data.bin") == wheel.read("thing/data.bin") == b"content"
    assert wheel.extract("thing/data.bin").read_bytes() == b"content"
    (command,) = calls
    assert command[-1] == "thing==1.0" and "--no-deps" in command
    assert sorted(each.name for each in cache.rglob("*.*") if each.is_file()) == [
        "data.bin",
        "thing-1.0-py3-none-any.whl",
        "thing-1.0.lock",
    ]


def test_without_a_network_one_line_says_so(monkeypatch):
    said = "WARNING: Retrying\nERROR: No matching distribution found for thing==1.0\n"
    pip(monkeypatch, 1, said)
    with pytest.raises(ToolError) as error:
        Wheel("thing", "1.0").fetch()
    text = str(error.value)
    assert text.startswith("pip cannot fetch thing==1.0: No matching distribution found for thing")
    assert "is there a network? Or put its wheel into" in text and "\n" not in text
    assert not Wheel("thing", "1.0").folder.exists()


def test_another_wheel_is_refused(monkeypatch):
    pip(monkeypatch)
    with pytest.raises(UserError, match=r"has SHA-256 [0-9a-f]{64}, not 0123: remove it"):
        Wheel("thing", "1.0", "0123").fetch()
    right = sha256_of_file(Wheel("thing", "1.0").fetch())
    assert Wheel("thing", "1.0", right).fetch().name == "thing-1.0-py3-none-any.whl"


def test_a_wheel_that_was_put_there_is_taken(monkeypatch):
    calls = pip(monkeypatch, 1)
    wheel = Wheel("thing", "1.0")
    digits = archive(wheel.folder)
    assert Wheel("thing", "1.0", digits).read("thing/data.bin") == b"content" and not calls


def test_damage_is_one_line(monkeypatch):
    pip(monkeypatch)
    wheel = Wheel("thing", "1.0")
    with pytest.raises(UserError, match=r"cannot be read: .*absent.*: remove it and try again"):
        wheel.read("absent")
    wheel.fetch().write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read: File is not a zip file"):
        wheel.read("thing/data.bin")
    wheel.fetch().unlink()
    monkeypatch.setattr(Wheel, "_download", lambda self, folder: None)
    with pytest.raises(UserError, match="no wheel in it: remove the folder"):
        wheel.fetch()


def test_a_slow_pip_is_stopped(monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ToolError, match="pip took more than 1200 s to fetch thing"):
        Wheel("thing", "1.0").fetch()
