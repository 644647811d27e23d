# amaranth: UnusedElaboratable=no
"""The top of the ULX3S: every port has a pin, and the clock is what it says."""

import re

from rtl.board import load_board
from rtl.config import TINY
from rtl.lib.emit import emit_rtlil
from rtl.soc.blocks import WORD_BYTES
from rtl.soc.ulx3s import (
    CLOCK_HZ,
    MEMORY_WORDS,
    OSCILLATOR_HZ,
    PINS,
    PhaseLockedLoop,
    Ulx3s,
    constraints,
)


def test_every_port_has_one_pin():
    ports = [
        name if len(value) == 1 else f"{name}[{bit}]"
        for (name,), _, value in Ulx3s(TINY).signature.flatten(Ulx3s(TINY))
        for bit in range(len(value))
    ]
    assert sorted(pin.port for pin in PINS) == sorted(ports)
    assert len({pin.site for pin in PINS}) == len(PINS)


def test_constraints_name_site_and_standard_of_each_pin():
    text = constraints()
    for pin in PINS:
        assert f'LOCATE COMP "{pin.port}" SITE "{pin.site}";' in text
        assert f'IOBUF PORT "{pin.port}" IO_TYPE={pin.standard};' in text
    assert 'FREQUENCY PORT "oscillator" 25 MHZ;' in text


def test_the_loop_makes_the_board_s_clock():
    text = emit_rtlil(PhaseLockedLoop(), "loop")
    sizes = {name: int(n) for name, n in re.findall(r"parameter \\(\w+) (\d+)$", text, re.M)}
    made = OSCILLATOR_HZ // sizes["CLKI_DIV"] * sizes["CLKFB_DIV"]
    assert made == CLOCK_HZ == load_board("ulx3s").clock_hz
    assert 400e6 <= made * sizes["CLKOP_DIV"] <= 800e6  # what the loop's oscillator can do


def test_the_board_s_file_states_the_memory_that_the_top_has():
    assert load_board("ulx3s").memory.capacity_bytes == MEMORY_WORDS * WORD_BYTES
