"""Marks the benches of the hardware, so that ``nox -s sim`` can run them alone."""

from pathlib import Path

import pytest

RTL = Path(__file__).parent / "rtl"
HARDWARE = [RTL / part for part in ("arith", "attention", "control", "matmul", "memory", "vector")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(folder in item.path.parents for folder in HARDWARE):
            item.add_marker(pytest.mark.sim)
