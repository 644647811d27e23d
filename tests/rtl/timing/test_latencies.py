"""Pipeline constants are those of the RTL; TINY's stand in the code, for tests without it."""

from dataclasses import asdict, replace

import pytest

from rtl.config import ENGINES, TINY
from rtl.timing import UnitLatencies
from rtl.timing.latencies import unit_latencies


def test_the_defaults_are_tinys():
    assert unit_latencies(TINY) == UnitLatencies()


@pytest.mark.parametrize("name", ENGINES)
def test_selection_changes_no_other_constant(name):
    engine = ENGINES[name]
    selecting = asdict(unit_latencies(replace(engine, select_tokens=256)))
    assert selecting == asdict(unit_latencies(replace(engine, select_tokens=0)))
    assert min(selecting.values()) > 0
