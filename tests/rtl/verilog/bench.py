"""cocotb: a unit's scenarios in Amaranth's simulator, then on its Verilog, equal in every cycle."""

import os
from typing import Any

import cocotb
from cocotb.task import bridge

from tests.rtl.simulation import Trace, recorded
from tests.rtl.verilog.black_box import BlackBox
from tests.rtl.verilog.units import UNITS

UNIT = UNITS[os.environ["PULSAR_UNIT"]]


@cocotb.test()
@cocotb.parametrize(name=[cocotb.Param(name, name=name) for name in UNIT.scenarios])
async def passes(dut: Any, name: str) -> None:
    """The scenario's own checks pass in both, and so does a comparison of all ports."""
    prefix = f"{name}__" if UNIT.side_by_side else ""

    def in_verilator(component: Any, reset: Any) -> tuple:
        box = BlackBox(component, dut, reset, prefix)
        return box, [box.exchange]

    def run() -> None:
        UNIT.scenarios[name]()

    with recorded() as expected:
        run()
    with recorded(in_verilator) as seen:
        await bridge(run)()
    assert expected
    for number, (one, other) in enumerate(zip(expected, seen, strict=True)):
        compare(number, one, other)


def compare(number: int, expected: Trace, seen: Trace) -> None:
    """Raise an AssertionError that names the first port that differs."""
    where = f"simulation {number}, cycle"
    guards = [guard(port, expected.ports) for port in expected.ports]
    for cycle, (one, other) in enumerate(zip(expected.cycles, seen.cycles, strict=False)):
        for port, marker, a, b in zip(expected.ports, guards, one, other, strict=True):
            if marker is None or one[marker]:
                assert a == b, f"{where} {cycle}: {port} is {a:#x} in Amaranth, {b:#x} in Verilator"
    assert len(expected.cycles) == len(seen.cycles), f"{where}s: {len(expected.cycles)} in Amaranth"


def guard(port: str, ports: list[str]) -> int | None:
    """Which port says whether this one means anything; what does not is left from before."""
    group, _, name = port.rpartition("__")
    marker = f"{group}__{'enable' if name == 'request' else 'valid'}"
    return ports.index(marker) if marker in ports and name not in ("valid", "ready") else None
