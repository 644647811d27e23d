"""Benches of test_ultrascale.py in cocotb."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer


@cocotb.test()
async def exhaustive(dut):
    """Try all operands, compared inside of exhaustive.sv; write down its counts."""
    Clock(dut.clk, 10, unit="ns", impl="gpi").start()
    await RisingEdge(dut.done)
    await Timer(1, "ns")
    counts = {name: getattr(dut, name).value.to_unsigned() for name in ("checked", "wrong")}
    Path(os.environ["FOLDER"], "counts.json").write_text(json.dumps(counts))


@cocotb.test()
async def both(dut):
    """Apply a line of inputs per cycle; write down what both variants answer."""
    folder = Path(os.environ["FOLDER"])
    Clock(dut.clk, 10, unit="ns", impl="gpi").start()
    answers = []
    for inputs in json.loads((folder / "inputs.json").read_text()):
        await FallingEdge(dut.clk)
        dut.inputs.value = int(inputs, 16)
        await Timer(1, "ns")
        answers.append([dut.plain.value.to_unsigned(), dut.ultrascale.value.to_unsigned()])
    (folder / "answers.json").write_text(json.dumps(answers))


@cocotb.test()
async def clocked(dut):
    """Run a few cycles with the inputs as they are."""
    Clock(dut.clk, 10, unit="ns", impl="gpi").start()
    for _ in range(4):
        await FallingEdge(dut.clk)
