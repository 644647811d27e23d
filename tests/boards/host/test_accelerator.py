"""The driver on the executable instruction set: logits, one start a run, and every error."""

from dataclasses import replace

import numpy as np
import pytest

from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError
from boards.host.registers import REGISTERS
from rtl.config import TINY, TINY_SELECT
from rtl.isa.faults import FaultCode
from tests.boards.host.answers import failure, good
from tests.boards.host.engine_model import CYCLES, ModelTransport
from tests.boards.host.networks import selecting, small

CONTROL = REGISTERS["control"][0]


@pytest.fixture
def transport():
    return ModelTransport(TINY)


@pytest.fixture
def engine(transport):
    with Accelerator(transport) as engine:
        engine.load(small().package)
        yield engine


def test_logits_and_cycles(engine):
    outcome = engine.classify(small().images)
    np.testing.assert_array_equal(outcome.outputs, small().logits)
    assert outcome.cycles == (CYCLES,) * 5
    one = engine.classify(small().images[3])
    np.testing.assert_array_equal(one.outputs, small().logits[3:4])


def test_one_start_a_run_and_no_register_twice(engine, transport):
    transport.log.clear()
    good(engine)
    good(engine)
    writes = [(offset, value) for kind, offset, value in transport.log if kind == "write"]
    images = (REGISTERS["images"][0], 5)
    assert writes == [images, (CONTROL, 1), (CONTROL, 1)]
    assert transport.model.starts == 3  # the self-test is one
    assert all(offset % 4 == 0 for _, offset, _ in transport.log)


def test_more_images_than_memory_has_room_for(transport):
    transport.memory_bytes = len(small().package.region) // 64 * 64 + 64 + 2 * (832 + 64)
    with Accelerator(transport) as engine:
        engine.load(small().package)
        transport.log.clear()
        good(engine)
    starts = [entry for entry in transport.log if entry[:2] == ("write", CONTROL)]
    assert len(starts) == 3


def test_tokens_have_their_indices_in_every_run():
    case, transport = selecting(), ModelTransport(TINY_SELECT)
    layout = case.package.image_bytes + case.package.output_bytes
    transport.memory_bytes = len(case.package.region) + 2 * layout + 512
    with Accelerator(transport) as engine:
        engine.load(case.package)
        transport.log.clear()
        outcome = engine.classify(case.images)
    assert transport.log.count(("write", CONTROL, 1)) > 1
    np.testing.assert_array_equal(outcome.outputs, case.logits)
    np.testing.assert_array_equal(outcome.indices, case.indices)
    assert case.indices is not None and len(np.unique(case.indices, axis=0)) > 1


def test_indices_that_differ_fail_the_self_test():
    package = selecting().package
    meaning = replace(package.meaning, index_column=17)  # beside it
    with Accelerator(ModelTransport(TINY_SELECT)) as engine:
        with pytest.raises(DeviceError, match=r"self-test of selecting.pulsar: . of 96 values"):
            engine.load(replace(package, meaning=meaning))


def test_a_region_that_is_there_is_not_written_again(engine, transport, monkeypatch):
    written = []
    monkeypatch.setattr(transport, "put", lambda offset, data: written.append(offset))
    engine.load(small().package, self_test=False)
    assert written == []
    transport.model.memory[8] ^= 1
    with pytest.raises(DeviceError, match="does not hold what was written"):
        engine.load(small().package, self_test=False)
    assert written == [0]


def test_counters(engine):
    counters = engine.counters()
    assert counters["matmul"]["waits_for_load"] == 0 and len(counters) == 5


def test_identification(transport):
    transport.model.values["identity"] = 0xFFFFFFFF
    with Accelerator(transport) as engine:
        assert failure(engine.identify).startswith(
            "register identity is 0xffffffff, not 0x54495650"
        )
        transport.model.reset()
        transport.model.values["version"] = 99
        assert failure(engine.identify).startswith("register version is 99, this driver knows")
        transport.model.reset()
        assert engine.identify() == TINY.hash
    assert transport.closed


def test_a_package_for_another_engine(engine):
    other = replace(small().package, engine={"name": "huge", "hash": "00000000000000ab"})
    message = failure(engine.load, other)
    assert "engine huge, hash 00000000000000ab" in message and f"{TINY.hash:016x}" in message
    assert failure(engine.classify, small().images) == "no network is loaded: call load() first"
    engine.load(small().package)
    good(engine)


def test_too_little_memory(transport):
    transport.memory_bytes = 1 << 10
    message = failure(Accelerator(transport).load, small().package)
    assert "and one image need" in message and "the device has 1,024" in message


def test_images_of_a_wrong_size(engine):
    for images, shown in (
        (np.zeros((2, 28, 27, 1), np.uint8), "uint8 of 28x27x1"),
        (np.zeros((2, 28, 28, 1), np.int8), "int8 of 28x28x1"),
        (np.zeros((0, 28, 28, 1), np.uint8), "uint8 of 28x28x1"),
        (np.zeros(5, np.uint8), "uint8 of no pixels"),
    ):
        assert failure(engine.classify, images).endswith(f"channels), not {shown}")
    good(engine)


def test_a_fault_discards_the_run_and_the_next_one_is_good(engine, transport):
    for fault in (FaultCode.READ, FaultCode.WATCHDOG, FaultCode.ADDRESS):
        transport.model.fault = fault
        message = failure(engine.classify, small().images)
        assert message.startswith(f"the engine stopped after 1 of 5 images: fault {fault.name} in")
        good(engine)


def test_a_damaged_program_is_written_again(engine, transport):
    at = small().package.program_offset
    transport.memory[at : at + 8] ^= 0xFF
    assert "the engine stopped after 0 of 5 images" in failure(engine.classify, small().images)
    good(engine)


def test_constants_that_have_changed(engine, transport):
    engine.check()
    generator = np.random.default_rng(0)
    for bit in generator.integers(0, 8 * len(small().package.region), 50).tolist():
        transport.memory[bit // 8] ^= 1 << bit % 8
        assert failure(engine.check).startswith(f"memory has changed: first at byte 0x{bit // 8:x}")
        good(engine)
        engine.check()


def test_an_engine_that_is_busy_or_hangs(engine, transport):
    transport.model.flag("busy")
    assert "status is busy" in failure(engine.classify, small().images)
    good(engine)
    transport.model.hangs = True
    message = failure(engine.classify, small().images)
    assert message == (
        "register status is busy, and images_done is 0 of 5, for 2 s: the engine stands still"
    )
    transport.model.hangs = False
    good(engine)


def test_a_start_that_is_not_taken_gives_no_old_logits(engine, transport, monkeypatch):
    good(engine)
    monkeypatch.setattr(transport.model, "control", lambda bits: transport.model.flag("ignored"))
    assert "ignored behind a run" in failure(engine.classify, small().images)
    monkeypatch.undo()
    good(engine)


def test_a_reset_that_does_not_end(engine, transport):
    transport.model.stuck = True
    before = transport.now()
    message = failure(engine.reset)
    assert message.startswith("register status is resetting 2 s after a reset: memory does not")
    assert 2 <= transport.now() - before < 2.01
    transport.model.stuck = False
    transport.model.reset()
    good(engine)


def test_memory_that_does_not_hold_what_was_written(transport, monkeypatch):
    original = transport.put

    def put(offset, data):
        original(offset, data)
        transport.memory[100] ^= 4

    monkeypatch.setattr(transport, "put", put)
    engine = Accelerator(transport)
    message = failure(engine.load, small().package)
    assert message == "memory does not hold what was written: first at byte 0x64"
    monkeypatch.undo()
    engine.load(small().package)
    good(engine)


def test_a_self_test_that_differs(transport):
    package = small().package
    engine = Accelerator(transport)
    message = failure(engine.load, replace(package, expected=package.expected ^ [0, 1, 0]))
    assert message == ("self-test of small.pulsar: 1 of 3 values differ from the golden model's")
    engine.load(package)
    good(engine)


def test_close_stops_a_run(engine, transport):
    transport.model.hangs = True
    with pytest.raises(DeviceError):
        engine.classify(small().images)
    engine.close()
    assert "busy" not in transport.model.status() and transport.closed


def test_two_networks_in_turn(engine):
    other = small(seed=1)
    engine.load(other.package)
    np.testing.assert_array_equal(engine.classify(other.images).outputs, other.logits)
    engine.load(small().package)
    good(engine)
