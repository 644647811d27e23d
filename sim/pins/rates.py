"""Frames per second at a board's pins: those of the engine, and those of its serial line, apart."""

from dataclasses import dataclass

from boards.host.frames import BITS_PER_BYTE
from boards.host.serial import RATES

HOST_BAUD = RATES[0]  # that of a cable


@dataclass(frozen=True)
class PinRates:
    """Rates of a run of images over a serial line.

    The line alone allows ``baud / (10 * line_bytes)`` frames per second: both directions work at
    the same time, and the busier one decides.

    Parameters
    ----------
    clock_hz : int
        Of the engine.
    cycles : float
        Of an image on the engine, on average.
    line_bytes : float
        Bytes of an image on the busier direction of the line, frames and polls included.
    baud : int
        Rate of the line in this run.
    """

    clock_hz: int
    cycles: float
    line_bytes: float
    baud: int

    @property
    def engine_fps(self) -> float:
        """Frames per second of the engine, whatever brings the images."""
        return self.clock_hz / self.cycles

    def line_fps(self, baud: int) -> float:
        """Return the frames per second that the line allows, whatever the engine does."""
        return baud / (BITS_PER_BYTE * self.line_bytes)

    def text(self) -> str:
        """Return both in a line each."""
        used, cable = self.line_fps(self.baud), self.line_fps(HOST_BAUD)
        return (
            f"engine: {self.engine_fps:,.0f} frames/s at {self.clock_hz / 1e6:g} MHz,"
            f" {self.cycles:,.0f} cycles an image\n"
            f"serial line: {used:,.0f} frames/s at {self.baud:,} baud, {cable:,.0f} at"
            f" {HOST_BAUD:,}, {self.line_bytes:,.0f} bytes an image\n"
        )

    def report(self) -> dict[str, float]:
        """Return all figures, as JSON has them."""
        return {
            "engine_fps": round(self.engine_fps, 1),
            "line_bytes_per_image": round(self.line_bytes, 1),
            "line_baud": self.baud,
            "line_fps": round(self.line_fps(self.baud), 1),
            "line_fps_at_2_mbaud": round(self.line_fps(HOST_BAUD), 1),
        }
