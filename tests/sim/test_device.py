"""The simulated device; tests/boards/test_ends.py breaks it, and repairs it."""

from dataclasses import replace

import numpy as np
import pytest

from boards.host.accelerator import Accelerator
from boards.host.errors import UserError
from sim.device import open_transport
from sim.remote import RemoteSimulation
from tests.boards.host.networks import small


@pytest.fixture(scope="module")
def transport():
    transport = open_transport("", small().package)
    yield transport
    transport.close()


@pytest.fixture
def engine(transport):
    engine = Accelerator(transport)
    engine.load(small().package)
    return engine


def good(engine: Accelerator) -> None:
    found = engine.classify(small().images)
    np.testing.assert_array_equal(found.outputs, small().logits)
    assert found.cycles[0] > found.cycles[1] > 100


def test_the_driver_waits_for_the_interrupt(engine, monkeypatch):
    log = []
    original = RemoteSimulation.call

    def call(self, *command):
        log.append(command)
        return original(self, *command)

    monkeypatch.setattr(RemoteSimulation, "call", call)
    good(engine)
    good(engine)
    waits = [command for command in log if command[0] == "wait"]
    assert len(waits) <= 4  # for the interrupt, not by asking again and again


def test_counters(engine):
    good(engine)
    assert engine.counters()["matmul"]["busy"] > 0


def test_what_is_refused():
    with pytest.raises(UserError, match="sim:3: sim takes nothing"):
        open_transport("3", small().package)
    sizes = small().package.engine | {"token_lanes": 8}
    with pytest.raises(UserError, match="of another version: package it again"):
        open_transport("", replace(small().package, engine=sizes))
