"""A finished run of the search."""

from pathlib import Path

import pytest

from tests.nas.search.runs import run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one finished run, ``digits``."""
    out = tmp_path_factory.mktemp("runs")
    assert run(out) == 0
    return out
