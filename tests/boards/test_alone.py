"""The host driver runs where nothing of ours but ``boards`` is: no Amaranth, torch, rtl, sim."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards.host.networks import small

ROOT = Path(__file__).parents[2]
OLDEST = "3.9"
HOST = sorted((ROOT / "boards" / "host").glob("*.py"))

SCRIPT = """
import importlib, importlib.abc, sys

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first in {"rtl", "sim", "nas", "amaranth", "torch", "rich", "tyro", "pydantic", "cocotb",
                     "safetensors", "serial"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
for name in sys.argv[2:]:
    importlib.import_module(name)
from boards.host.package import Package
package = Package.load(sys.argv[1])
from boards.overhead import measure
print(len(measure(package, 2)), package.model)
"""


@pytest.fixture
def alone(tmp_path):
    """A folder with ``boards`` and a package in it, and nothing else."""
    shutil.copytree(
        ROOT / "boards", tmp_path / "boards", ignore=shutil.ignore_patterns("*.json", "__pycache__")
    )
    (tmp_path / "a.package").write_bytes(small().package.encode())
    return tmp_path


def names() -> list[str]:
    modules = [f"boards.host.{file.stem}" for file in HOST if file.stem != "__init__"]
    return [*modules, "boards.run", "boards.overhead"]


def test_on_this_python(alone):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(alone / "a.package"), *names()],
        cwd=alone,
        env={**os.environ, "PYTHONPATH": str(alone)},
        capture_output=True,
        text=True,
    )
    assert result.stdout == "2 small.pulsar\n", result.stderr


def test_the_syntax_is_that_of_the_oldest_python():
    files = [*HOST, ROOT / "boards" / "run.py", ROOT / "boards" / "overhead.py"]
    major, minor = map(int, OLDEST.split("."))
    for file in files:
        source = file.read_text(encoding="utf-8")
        ast.parse(source, feature_version=(major, minor))
        assert "from __future__ import annotations" in source or " | None" not in source, file
