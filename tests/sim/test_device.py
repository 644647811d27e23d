"""The host driver on the engine's RTL, over AXI: logits, errors, and good runs behind them."""

from dataclasses import replace

import numpy as np
import pytest

from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError, UserError
from boards.host.registers import REGISTERS
from sim.device import NOWHERE, SimulatedTransport, open_transport
from tests.boards.host.networks import small

CONTROL = REGISTERS["control"][0]
WATCHDOG_CYCLES = 20_000


@pytest.fixture(scope="module")
def transport():
    transport = open_transport("", small().package)
    yield transport
    transport.close()


@pytest.fixture
def engine(transport):
    engine = Accelerator(transport, watchdog_cycles=WATCHDOG_CYCLES)
    engine.load(small().package)
    return engine


def good(engine: Accelerator) -> None:
    found = engine.classify(small().images)
    np.testing.assert_array_equal(found.outputs, small().logits)
    assert found.cycles[0] > found.cycles[1] > 100


def failure(engine: Accelerator, *arguments) -> str:
    with pytest.raises(UserError) as error:
        engine.classify(*arguments or (small().images,))
    return str(error.value)


def test_logits_one_start_a_run_and_aligned_words(engine, transport, monkeypatch):
    log = []
    original = SimulatedTransport._call

    def call(self, *command):
        log.append(command)
        return original(self, *command)

    monkeypatch.setattr(SimulatedTransport, "_call", call)
    good(engine)
    good(engine)
    accesses = [command for command in log if command[0] in ("read", "write")]
    assert all(offset % 4 == 0 for _, offset, *_ in accesses)
    assert log.count(("write", CONTROL, 1)) == 2
    waits = [command for command in log if command[0] == "wait"]
    assert len(waits) <= 4  # for the interrupt, not by asking again and again


def test_counters(engine):
    good(engine)
    assert engine.counters()["matmul"]["busy"] > 0


def test_every_error_is_followed_by_a_good_run(engine, transport):
    assert "images must be uint8 of 28x28x1" in failure(engine, np.zeros((1, 9, 9, 1), np.uint8))
    good(engine)
    # A memory that answers a read of the constants with an error.
    transport.setting("error_address", 64)
    assert "0 of 5 images: fault READ in" in failure(engine)
    transport.setting("error_address", NOWHERE)
    good(engine)
    # A program that was damaged.
    at = small().package.program_offset
    transport.put(at + 32, bytes([transport.get(at + 32, 1)[0] ^ 0xF]))
    assert "the engine stopped after 0 of 5 images: fault" in failure(engine)
    good(engine)
    # A program for another engine.
    other = replace(small().package, engine={"name": "other", "hash": "0" * 16})
    with pytest.raises(UserError, match="is packaged for engine other, hash 0000000000000000"):
        engine.load(other)
    engine.load(small().package)
    good(engine)
    # An engine that is busy: somebody else has started it, with a memory that hardly answers.
    transport.setting("latency", 5_000)
    engine.write("control", 1)
    assert "register status is busy before the start" in failure(engine)
    transport.setting("latency", small().package.board.latency_cycles)
    good(engine)
    # A memory that does not answer: the watchdog ends it.
    transport.setting("bytes_per_cycle", 0)
    with pytest.raises(DeviceError, match="fault WATCHDOG in"):
        engine.classify(small().images)
    transport.setting("bytes_per_cycle", 16 * 256)
    good(engine)


def test_a_device_that_was_closed():
    transport = open_transport("", small().package)
    engine = Accelerator(transport)
    engine.load(small().package)
    transport.close()
    assert failure(engine) == "the simulation was closed: open it again"
    engine.close()
    again = Accelerator(open_transport("", small().package))
    again.load(small().package)
    good(again)
    again.close()


def test_what_is_refused():
    with pytest.raises(UserError, match="sim:3: sim takes nothing"):
        open_transport("3", small().package)
    sizes = small().package.engine | {"token_lanes": 8}
    with pytest.raises(UserError, match="of another version: package it again"):
        open_transport("", replace(small().package, engine=sizes))
