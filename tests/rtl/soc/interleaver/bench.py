"""Bench of test_interleaver.py in cocotb."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

COUNTS = ("pattern", "checked", "answered", "errors", "wrong")


@cocotb.test()
async def stress(dut):
    """Run all patterns, compared inside of stress.sv; write down its counts."""
    dut.patterns.value = int(os.environ["PATTERNS"])
    dut.rst.value = 1
    Clock(dut.clk, 10, unit="ns", impl="gpi").start()
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.done)
    await Timer(1, "ns")
    counts = {name: getattr(dut, name).value.to_unsigned() for name in COUNTS}
    Path(os.environ["FOLDER"], "counts.json").write_text(json.dumps(counts))
