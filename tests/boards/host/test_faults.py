"""Registers in words, against the enumerations of the hardware."""

import pytest

from boards.host.faults import fault_text, status_bits
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import Unit
from rtl.isa.registers import STATUS_BITS


@pytest.mark.parametrize("code", FaultCode)
@pytest.mark.parametrize("unit", [*Unit, FETCH])
def test_faults(code, unit):
    name = "fetch" if unit == FETCH else unit.name.lower()
    expected = f"fault {code.name} in {name}, instruction 258"
    assert fault_text(code | unit << 4 | 258 << 8) == expected


def test_who_waits_for_whom():
    waits = 0b00001 << 5 * Unit.MATMUL | 0b01010 << 5 * Unit.STORE
    text = fault_text(FaultCode.WATCHDOG | Unit.MATMUL << 4, waits)
    assert text.endswith("; matmul waits for load, store waits for matmul and softmax")


def test_what_is_unknown_is_shown():
    assert fault_text(0xF | 9 << 4) == "fault number 15 in unit 9, instruction 0"


def test_status():
    assert status_bits(0b101) == {STATUS_BITS[0], STATUS_BITS[2]}
