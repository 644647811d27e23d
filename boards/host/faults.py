"""Registers in words: status bits, faults, and who waits for whom.

Source: docs/registers.md.
"""

from __future__ import annotations

from boards.host.registers import ERROR_FIELDS, FAULTS, FETCH, STATUS_BITS, UNITS


def status_bits(value: int) -> frozenset[str]:
    """Names of the status bits that are set."""
    return frozenset(name for i, name in enumerate(STATUS_BITS) if value >> i & 1)


def error_fields(value: int) -> dict[str, int]:
    """Fields of the register ``error``: code, unit, number."""
    fields = {}
    for name, bits in ERROR_FIELDS:
        fields[name] = value & ((1 << bits) - 1)
        value >>= bits
    return fields


def fault_text(error: int, waits: int = 0) -> str:
    """Put a fault in words.

    Parameters
    ----------
    error, waits : int
        The registers of these names; ``waits`` tells something of a WATCHDOG fault only.
    """
    code, unit, number = error_fields(error).values()
    fault = FAULTS[code] if code < len(FAULTS) else f"number {code}"
    text = f"fault {fault} in {_unit(unit)}, instruction {number}"
    return f"{text}; {waits_text(waits)}" if fault == "WATCHDOG" and waits else text


def waits_text(waits: int) -> str:
    """Put the register ``waits`` in words: ``matmul waits for load and norm``."""
    parts = []
    for unit in range(len(UNITS)):
        missing = waits >> unit * len(UNITS)
        names = [_unit(other) for other in range(len(UNITS)) if missing >> other & 1]
        if names:
            parts.append(f"{_unit(unit)} waits for {' and '.join(names)}")
    return ", ".join(parts)


def _unit(unit: int) -> str:
    if unit == FETCH:
        return "fetch"
    return UNITS[unit].lower() if unit < len(UNITS) else f"unit {unit}"
