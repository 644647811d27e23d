"""The serial transport: a network over a byte-level bridge, on a line that damages bytes."""

import numpy as np
import pytest

from boards.host import frames
from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError, UserError
from boards.host.registers import REGISTERS
from boards.host.serial import RATES, SerialTransport, open_transport
from rtl.config import TINY
from rtl.isa.faults import FaultCode
from tests.boards.host.answers import failure, good
from tests.boards.host.bridge import BridgeModel, VirtualLine
from tests.boards.host.damage import Damage
from tests.boards.host.engine_model import EngineModel
from tests.boards.host.networks import small

TRIALS = 1000
CONTROL = REGISTERS["control"][0]


@pytest.fixture
def bridge():
    memory = np.zeros(1 << 16, np.uint8)
    return BridgeModel(EngineModel(TINY, memory), memory)


@pytest.fixture
def line(bridge):
    return VirtualLine(bridge)


def test_logits_at_the_best_rate(line, bridge):
    with Accelerator(SerialTransport(line)) as engine:
        engine.load(small().package)
        good(engine)
        assert (line.baud, bridge.period) == (RATES[0], 25)
    assert line.closed and bridge.registers.starts == 2 and not bridge.overflowed


def test_the_class_is_shown_and_a_fault_too(line, bridge):
    with Accelerator(SerialTransport(line)) as engine:
        engine.load(small().package)
        good(engine)
        assert bridge.lights == small().logits[-1].argmax()
        bridge.registers.fault = FaultCode.WATCHDOG
        with pytest.raises(DeviceError, match="WATCHDOG"):
            engine.classify(small().images)
        assert bridge.lights == 0x80


def test_a_thousand_damaged_bytes(line, bridge):
    """No wrong logits, and hardly a run that is not recovered; a start is never done twice."""
    generator = np.random.default_rng(0)
    engine = Accelerator(SerialTransport(line))
    engine.load(small().package)
    good(engine)
    case, damaged, failed, wrong, runs = small(), 0, 0, 0, bridge.registers.starts
    traffic = {"to_bridge": 1300, "to_host": 700}  # bytes of a run, about
    for trial in range(TRIALS):
        image = trial % len(case.images)
        damages = []
        for way, count in traffic.items():
            damage = Damage(generator, generator.integers(0, count, generator.integers(1, 3)))
            setattr(line, way, damage)
            damages.append(damage)
        try:
            outputs = engine.classify(case.images[image]).outputs
            wrong += not np.array_equal(outputs[0], case.logits[image])
            runs += 1
            assert bridge.registers.starts == runs
        except DeviceError:
            failed += 1
            runs = bridge.registers.starts
        damaged += sum(damage.done for damage in damages)
    assert damaged >= TRIALS
    assert wrong == 0
    assert failed <= TRIALS // 200
    assert not bridge.overflowed


def test_a_load_with_damaged_bytes(line):
    generator = np.random.default_rng(1)
    line.to_bridge = Damage(generator, generator.integers(0, 12_000, 20))
    with Accelerator(SerialTransport(line)) as engine:
        engine.load(small().package)
        good(engine)
    assert line.to_bridge.done > 10


def test_a_flipped_constant_is_refused_before_a_run(line, bridge):
    """The bridge's CRC-32 tells it, whichever bit of the constants it is; no run is started."""
    generator = np.random.default_rng(2)
    package = small().package
    with Accelerator(SerialTransport(line)) as engine:
        engine.load(package)
        starts = bridge.registers.starts
        for bit in generator.choice(8 * package.program_offset, 40, replace=False).tolist():
            bridge.memory[bit // 8] ^= 1 << bit % 8
            assert failure(engine.check).startswith("memory has changed")
            assert bridge.registers.starts == starts
            bridge.memory[bit // 8] ^= 1 << bit % 8
            engine.check()
        good(engine)


def test_a_board_that_was_switched_off(line, bridge):
    engine = Accelerator(SerialTransport(line))
    engine.load(small().package)
    bridge.power_on()
    bridge.memory[:] = 0
    with pytest.raises(DeviceError, match="was reset or configured anew: open it again"):
        engine.classify(small().images)
    engine.close()
    line.closed = False
    again = Accelerator(SerialTransport(line))
    again.load(small().package)
    good(again)


def test_an_unplugged_cable(line, bridge):
    engine = Accelerator(SerialTransport(line))
    engine.load(small().package)
    line.plugged = False
    with pytest.raises(DeviceError, match="virtual has gone"):
        engine.classify(small().images)
    engine.close()
    line.plugged = True
    engine = Accelerator(SerialTransport(line))
    engine.load(small().package)
    good(engine)


def test_a_rate_that_the_cable_does_not_carry(line, bridge):
    line.to_host = lambda byte: (byte ^ 0x11,) if line.baud > 1_000_000 else (byte,)
    with Accelerator(SerialTransport(line)) as engine:
        engine.load(small().package)
        good(engine)
        assert line.baud == 1_000_000


def test_a_rate_that_the_clock_does_not_divide_into(bridge, line):
    SerialTransport(line, (30_000_000, 1_400_000))
    assert (line.baud, bridge.period) == (1_400_000, 36)
    SerialTransport(line, ())
    assert bridge.clock_hz // bridge.period == pytest.approx(1_400_000, rel=0.01)


def test_what_is_not_in_memory(line):
    with SerialTransport(line, ()) as transport:
        with pytest.raises(DeviceError, match="are not in the board's memory of 65,536"):
            transport.put(65_536 - 16, bytes(32))
        for offset, count in ((8, 16), (0, 8), (0, 0)):
            with pytest.raises(ValueError, match="are no whole words of memory"):
                transport.get(offset, count)
        transport.put(0, bytes(range(256)) * 2)
        assert transport.difference(0, bytes(range(256)) * 2) is None
        assert transport.difference(256, bytes(256)) == 256
        assert transport.get(16, 32) == bytes(range(16, 48))


def test_what_a_port_must_be(tmp_path):
    for argument, message in (
        ("", "serial needs a port: --device serial:/dev/ttyUSB0"),
        ("/dev/ttyUSB0@fast", "serial:/dev/ttyUSB0@fast: the rate must be a number, not 'fast'"),
        (f"{tmp_path}/absent", f"{tmp_path}/absent: No such file or directory"),
    ):
        with pytest.raises(UserError) as error:
            open_transport(argument, small().package)
        assert str(error.value) == message


def test_the_first_rate_is_that_of_the_page():
    assert frames.FIRST_BAUD == 115_200
