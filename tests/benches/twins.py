"""cocotb: two netlists with the same inputs have the same outputs, cycle by cycle."""

import random
from typing import Any

import cocotb
from cocotb.triggers import Timer

CYCLES = 2000


@cocotb.test()
async def equal(dut: Any) -> None:
    """Random inputs; ``seen`` counts values, so that equal silence is no success."""
    numbers, seen = random.Random(1), set()
    dut.rst.value = 0
    for _ in range(CYCLES):
        dut.data.value = numbers.getrandbits(36)
        dut.address.value = numbers.getrandbits(5)
        dut.control.value = numbers.getrandbits(4)
        dut.clk.value = 1
        await Timer(5, "ns")
        before, after = int(dut.apart.value), int(dut.absorbed.value)
        assert before == after
        seen.add(after)
        dut.clk.value = 0
        await Timer(5, "ns")
    assert len(seen) > CYCLES // 2
