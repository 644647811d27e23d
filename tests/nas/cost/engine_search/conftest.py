"""The small grid in place of the whole one."""

import pytest

from nas.cost.engine_search import search
from tests.nas.cost.engine_search.made import GRID


@pytest.fixture(autouse=True)
def small_grid(monkeypatch):
    monkeypatch.setattr(search, "all_lanes", lambda: iter(GRID))
