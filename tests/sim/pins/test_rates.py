"""The engine's rate and the serial line's do not mix."""

import pytest

from sim.pins.rates import HOST_BAUD, PinRates

RATES = PinRates(clock_hz=50_000_000, cycles=40_000, line_bytes=1_000, baud=12_500_000)


def test_each_rate_by_itself():
    assert RATES.engine_fps == 1_250
    assert (RATES.line_fps(12_500_000), RATES.line_fps(HOST_BAUD)) == (1_250, 200)
    slower = PinRates(50_000_000, 80_000, 1_000, 12_500_000)
    assert (slower.engine_fps, slower.line_fps(HOST_BAUD)) == (625, 200)


def test_both_are_printed_apart():
    assert RATES.text() == (
        "engine: 1,250 frames/s at 50 MHz, 40,000 cycles an image\n"
        "serial line: 1,250 frames/s at 12,500,000 baud, 200 at 2,000,000, 1,000 bytes an image\n"
    )


def test_figures():
    assert RATES.report() == {
        "engine_fps": pytest.approx(1_250),
        "line_bytes_per_image": 1_000,
        "line_baud": 12_500_000,
        "line_fps": 1_250,
        "line_fps_at_2_mbaud": 200,
    }
