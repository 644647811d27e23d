"""A serial port of the system, on a pseudo-terminal."""

import os
import pty
import termios
import threading
import time

import numpy as np
import pytest

from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError
from boards.host.line import TerminalLine
from boards.host.serial import SerialTransport
from rtl.config import TINY
from tests.boards.host.bridge import BridgeModel
from tests.boards.host.engine_model import EngineModel


@pytest.fixture
def ends():
    """A terminal's other end, and the port's name."""
    mine, theirs = pty.openpty()
    name = os.ttyname(theirs)
    os.close(theirs)
    yield mine, name
    try:
        os.close(mine)
    except OSError:
        pass  # the test has unplugged it


def serve(mine: int, bridge: BridgeModel) -> None:
    """Be the bridge at a terminal's other end, until it is unplugged; in the time of the host."""
    at = 0.0
    while True:
        try:
            data = os.read(mine, 4096)
        except OSError:
            return
        at = max(at, time.monotonic())
        for byte in data:
            at += 10 * bridge.bit_s
            bridge.receive(byte, at, bridge.bit_s)
        bridge.advance(at + 0.5)
        os.write(mine, bytes(byte for _, byte, _ in bridge.sent))
        bridge.sent.clear()


def test_bytes_pass_as_they_are(ends):
    mine, name = ends
    line = TerminalLine(name)
    every = bytes(range(256))
    line.write(every)
    received = b""
    while len(received) < 256:
        received += os.read(mine, 4096)
    assert received == every
    os.write(mine, every)
    back = b""
    while len(back) < 256:
        back += line.read(1)
    assert back == every
    before = line.now()
    assert line.read(0.05) == b"" and line.now() - before >= 0.05
    line.close()
    line.close()


def test_rates(ends):
    _, name = ends
    line = TerminalLine(name)
    assert termios.tcgetattr(line._file)[4] == termios.B115200
    assert line.set_baud(2_000_000)
    assert termios.tcgetattr(line._file)[5] == termios.B2000000
    assert not line.set_baud(1_234_567)
    line.close()


def test_memory_and_registers_through_a_terminal(ends):
    mine, name = ends
    memory = np.zeros(1 << 16, np.uint8)
    bridge = BridgeModel(EngineModel(TINY, memory), memory)
    line = TerminalLine(name)
    threading.Thread(target=serve, args=(mine, bridge), daemon=True).start()
    data = np.random.default_rng(0).bytes(4096)
    with SerialTransport(line, (1_000_000,)) as transport:
        assert Accelerator(transport).identify() == TINY.hash
        transport.put(64, data)
        assert transport.get(64, 4096) == data == memory[64:4160].tobytes()
        assert transport.difference(64, data) is None
        assert bridge.period == 50


def test_a_port_that_has_gone(ends):
    mine, name = ends
    line = TerminalLine(name)
    os.close(mine)
    with pytest.raises(
        DeviceError, match=rf"^{name} has gone \(.*\): plug it in, and open it again$"
    ):
        for _ in range(3):
            line.write(b"a")
            line.read(0.1)
    line.close()
    with pytest.raises(DeviceError, match="was closed: open it again"):
        line.read(0.1)


def refusal(port) -> str:
    with pytest.raises(DeviceError) as error:
        TerminalLine(str(port))
    return str(error.value)


def test_no_port_no_terminal_no_permission(tmp_path, monkeypatch):
    assert refusal(tmp_path / "absent") == f"{tmp_path}/absent: No such file or directory"
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file") == f"{tmp_path}/file is not a serial port"
    assert refusal("/dev/null") == "/dev/null is not a serial port"

    def denied(path, flags):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", denied)
    assert refusal("/dev/ttyUSB0") == (
        "/dev/ttyUSB0: Permission denied: add your user to the group of the port (dialout, uucp)"
    )
