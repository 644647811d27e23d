"""cocotb: a unit and its netlist with the same inputs have the same outputs, cycle by cycle.

The job names the inputs and outputs with their bits; tests/sim/netlist/test_units.py makes both.
"""

import json
import os
import random
from typing import Any

import cocotb
from cocotb.triggers import Timer

CYCLES = 1000
EXTREME = 0.3  # share of inputs that are 0, all ones, or the lowest negative number


@cocotb.test()
async def equal(dut: Any) -> None:
    """Random and extreme inputs; ``seen`` counts values, so that equal silence is no success."""
    job, numbers, seen = json.loads(os.environ["PULSAR_JOB"]), random.Random(1), set()
    dut.rst.value = 0
    for cycle in range(CYCLES):
        for name, bits in job["inputs"].items():
            extremes = (0, (1 << bits) - 1, 1 << bits - 1)
            value = numbers.getrandbits(bits)
            is_extreme = numbers.random() < EXTREME
            getattr(dut, name).value = numbers.choice(extremes) if is_extreme else value
        dut.clk.value = 1
        await Timer(5, "ns")
        for name in job["outputs"]:
            values = [int(getattr(dut, f"{kind}_{name}").value) for kind in ("rtl", "netlist")]
            assert values[0] == values[1], (cycle, name, *map(hex, values))
            seen.add(values[0])
        dut.clk.value = 0
        await Timer(5, "ns")
    assert len(seen) > CYCLES // 20
