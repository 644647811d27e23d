"""A build of the counter, and the cache that it lies in."""

import pytest

from sim.toolchain.builder import build
from tests.sim.toolchain.counter import SOURCES


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def counter(cache):
    return build(SOURCES, "counter", arguments=["-GSTEP=3"], cache=cache)
