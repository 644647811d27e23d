"""A Zynq's top under load: an interrupt for each image, and resets in mid-run.

The job is that of sim/runner.py; ``expected.bin`` beside it holds the outputs of all its images.
"""

import json
import mmap
import os
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles

from sim.benches.host import Host

SETTLE = 8  # cycles from a write of a register to what it does
WAITS = (0, 1, 2, 3, 5, 9, 20, 40, 60, 80, 100, 120, 150, 200, 300, 400, 500, 700, 900, 1300, 2000)


class Board:
    """The top, its host and its memory."""

    def __init__(self, dut):
        path = Path(os.environ["PULSAR_JOB"])
        self.job = json.loads(path.read_text())
        self.dut, self.host = dut, Host(dut)
        self.expected = path.with_name("expected.bin").read_bytes()
        with path.with_name("memory.bin").open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    async def power_on(self):
        await self.host.power_on(**self.job["memory"])

    async def start(self):
        for _, output in self.job["images"]:
            self.memory[output : output + self.job["output_bytes"]] = bytes(
                self.job["output_bytes"]
            )
        for name, value in self.job["registers"].items():
            await self.host.write(name, value)
        await self.host.command("start")

    async def reset(self):
        await self.host.command("reset")
        while "resetting" in await self.host.status():
            await ClockCycles(self.dut.clk, SETTLE)

    async def finish(self):
        """Wait for the end of the run; its outputs are golden's."""
        status = set()
        while "done" not in status:
            await self.host.wait_for_interrupt(self.job["limit_cycles"])
            await self.host.command("irq_clear")
            status = await self.host.status()
        assert status == {"done"}, status
        self.check()

    def check(self):
        size = len(self.expected) // len(self.job["images"])  # what follows fills the last beat
        found = b"".join(self.memory[output : output + size] for _, output in self.job["images"])
        assert found == self.expected


@cocotb.test()
async def interrupts(dut):
    """Every image raises one, which the host clears while the next image is under way."""
    board = Board(dut)
    await board.power_on()
    await board.start()
    images = len(board.job["images"])
    for image in range(images):
        assert not int(dut.irq.value)
        await board.host.wait_for_interrupt(board.job["limit_cycles"])
        assert await board.host.read("images_done") == image + 1
        assert ("busy" in await board.host.status()) == (image < images - 1)
        await board.host.command("irq_clear")
        await ClockCycles(dut.clk, SETTLE)
    assert await board.host.status() == {"done"}
    board.check()


@cocotb.test()
async def resets(dut):
    """A run that is broken off leaves nothing behind for the next one."""
    board = Board(dut)
    await board.power_on()
    for wait in WAITS:
        await board.start()
        await ClockCycles(dut.clk, wait)
        await board.reset()
        await board.start()
        await board.finish()
