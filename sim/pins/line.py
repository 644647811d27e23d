"""A serial line whose other end is a simulated board: the host's driver at the design's pins."""

from boards.host.frames import PERIOD_MIN
from boards.host.line import Line
from boards.host.serial import SerialTransport
from sim.remote import RemoteSimulation
from sim.toolchain.simulation import Build


class PinLine(Line):
    """A line to the pins of a simulated design, which have the names of rtl/soc/ulx3s.py.

    Time is that of the simulation. The board is switched on with the first byte: silence before
    that costs nothing.

    Parameters
    ----------
    build : Build
    clock_hz : int
        Of the engine.

    Attributes
    ----------
    sent, received : int
        Bytes so far.
    """

    latency_s = 200e-6  # no adapter: a bridge begins its answer within 100 µs

    def __init__(self, build: Build, clock_hz: int):
        self.clock_hz = clock_hz
        self.sent = self.received = 0
        self._before = 0.0  # seconds before the board was switched on
        self._on = False
        self._remote = RemoteSimulation(build, "sim.benches.pins", {"clock_hz": clock_hz})

    @property
    def cycles(self) -> int:
        """Cycles that were simulated."""
        return round(self._remote.time * 1e-9 * self.clock_hz)

    def write(self, data: bytes) -> None:
        self._on = True
        self.sent += len(data)
        self._remote.call("write", data.hex())

    def read(self, limit_s: float) -> bytes:
        if not self._on:
            self._before += limit_s
            return b""
        data = bytes.fromhex(self._remote.call("read", limit_s))
        self.received += len(data)
        return data

    def set_baud(self, baud: int) -> bool:
        self._remote.call("baud", baud)
        return True

    def close(self) -> None:
        self._remote.close()

    def now(self) -> float:
        return self._before + self._remote.time * 1e-9

    def pause(self, seconds: float) -> None:
        if self._on:
            self._remote.call("pause", seconds)
        else:
            self._before += seconds

    def output(self, name: str) -> int:
        """Return the value of an output of the design."""
        return self._remote.call("output", name)


def open_pins(build: Build, clock_hz: int) -> SerialTransport:
    """Open the driver's serial transport at a design's pins, at the bridge's highest rate."""
    return transport_on(PinLine(build, clock_hz))


def transport_on(line: PinLine) -> SerialTransport:
    """Put the driver's serial transport on a line to pins, at the bridge's highest rate."""
    return SerialTransport(line, rates=(line.clock_hz // PERIOD_MIN,))
