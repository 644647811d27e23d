"""Settings of the whole suite: hypothesis, and a mark for the benches of the hardware."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

RTL = Path(__file__).parent / "rtl"
HARDWARE = [RTL / part for part in ("arith", "control", "lib", "matmul", "memory", "vector")]

# Equal cases in every run, and no deadlines: a busy machine is no error.
settings.register_profile("pulsar", deadline=None, derandomize=True)
settings.load_profile("pulsar")

# A shell starts background jobs with SIGINT ignored, and children inherit that; the tests of
# Ctrl-C need it, wherever the suite runs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the benches of the hardware, so that ``nox -s sim`` can run them alone."""
    for item in items:
        if any(folder in item.path.parents for folder in HARDWARE):
            item.add_marker(pytest.mark.sim)
