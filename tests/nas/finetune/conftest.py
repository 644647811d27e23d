"""A finished search to fine-tune."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def finished(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished search, beside its supernet."""
    out = tmp_path_factory.mktemp("finetune")
    shutil.copytree(runs / "digits", out / "digits")
    shutil.copytree(runs / "supernets", out / "supernets")
    return out / "digits"
