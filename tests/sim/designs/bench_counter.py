"""The cocotb bench that test_toolchain.py runs on counter.sv."""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge


async def start(dut):
    Clock(dut.clk, 10, unit="ns", impl="gpi").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def counts(dut):
    await start(dut)
    await ClockCycles(dut.clk, 5)
    await FallingEdge(dut.clk)
    assert dut.count.value.to_unsigned() == 5 * int(os.environ["STEP"]) * 10 + 1


@cocotb.test()
async def sees(dut):
    assert hasattr(dut, "hidden") == (os.environ["HIDDEN"] == "visible")


@cocotb.test(skip=os.environ.get("MISTAKE") != "1")
async def fails(dut):
    await start(dut)
    assert dut.count.value == 12345, "a mistake on purpose"
