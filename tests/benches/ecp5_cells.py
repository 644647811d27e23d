"""cocotb: models of ECP5 cells against what their documents say, cell by cell and bit by bit.

The job names instances and their parameters; tests/sim/netlist/test_cells.py makes the harness.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import Timer

CYCLES = 1500
ROWS = 4  # of the block RAM that are used, so that ports meet
PORT_INPUTS = {"di": 18, "ad": 14, "ce": 1, "oce": 1, "we": 1, "rst": 1}


class BlockRam:
    """A DP16KD: 2,048 bytes of 9 bits; widths below 9 use 8 bits of each.

    Parameters
    ----------
    width, mode : by port, "a" and "b"
    outreg, asynchronous : bool
    content : list of int
        Rows of 18 bits.
    """

    def __init__(self, width, mode, outreg, asynchronous, content):
        self.width, self.mode, self.outreg, self.asynchronous = width, mode, outreg, asynchronous
        self.bytes = [row >> 9 * half & 0x1FF for row in content for half in range(2)]
        self.latch = {"a": 0, "b": 0}
        self.out = {"a": 0, "b": 0}

    def parts(self, port, address):
        """(byte, first bit, bits) of each piece of a port's word."""
        width = self.width[port]
        byte = address >> 3
        if width == 18:
            return [(byte & ~1, 0, 9), (byte | 1, 0, 9)]
        if width == 9:
            return [(byte, 0, 9)]
        return [(byte, address % 8 // width * width, width)]

    def read(self, port, address, content=None):
        """A port's word; of other bits than the memory's if they are given."""
        value, at = 0, 0
        for byte, first, bits in self.parts(port, address):
            found = (self.bytes if content is None else content)[byte]
            value |= (found >> first & (1 << bits) - 1) << at
            at += bits
        return value

    def clock(self, inputs):
        """Take an edge of the clock of both ports, with both ports' inputs."""
        if self.asynchronous:  # as of the reset that is there before the edge, too
            self.reset(inputs)
        old = {port: self.read(port, inputs[port]["ad"]) for port in "ab"}
        written = {port: [0] * len(self.bytes) for port in "ab"}
        writes = {port: inputs[port]["ce"] and inputs[port]["we"] for port in "ab"}
        for port in "ab":
            if not writes[port]:
                continue
            data, at = inputs[port]["di"], 0
            for index, (byte, first, bits) in enumerate(self.parts(port, inputs[port]["ad"])):
                if self.width[port] != 18 or inputs[port]["ad"] >> index & 1:
                    mask = (1 << bits) - 1
                    written[port][byte] |= mask << first
                    kept = self.bytes[byte] & ~(mask << first)
                    self.bytes[byte] = kept | (data >> at & mask) << first
                at += bits
        for port, other in ("ab", "ba"):
            given = inputs[port]
            found = old[port]
            if writes[port] and self.mode[port] == "WRITETHROUGH":
                found = self.read(port, given["ad"])
            else:  # bits that the other port writes are anything, in the device
                found ^= self.read(port, given["ad"], written[other])
            loads = given["ce"] and not (writes[port] and self.mode[port] == "NORMAL")
            if self.outreg:
                if given["oce"]:
                    self.out[port] = self.latch[port]
                if loads:
                    self.latch[port] = found
            elif loads:
                self.out[port] = found
        self.reset(inputs)

    def reset(self, inputs):
        for port in "ab":
            if inputs[port]["rst"]:
                self.out[port] = 0


class WideRam(BlockRam):
    """A DP16KD whose ports are one of 36 bits: A writes words of four bytes, B reads them."""

    def clock(self, inputs):
        a, b = inputs["a"], inputs["b"]
        word = {port: inputs[port]["ad"] >> 5 for port in "ab"}
        old = [self.bytes[4 * word["b"] + n] for n in range(4)]
        if a["ce"] and a["we"]:
            data = a["di"] | b["di"] << 18
            for n in range(4):
                if a["ad"] >> n & 1:
                    self.bytes[4 * word["a"] + n] = data >> 9 * n & 0x1FF
                    if word["a"] == word["b"]:
                        old[n] ^= 0x1FF  # anything, in the device
        found = {"a": old[0] | old[1] << 9, "b": old[2] | old[3] << 9}
        for port in "ab":
            if self.outreg:
                if inputs[port]["oce"]:
                    self.out[port] = self.latch[port]
                if b["ce"]:
                    self.latch[port] = found[port]
            elif b["ce"]:
                self.out[port] = found[port]
        self.reset(inputs)


class Multiplier:
    """A MULT18X18D with any of its registers, by number of clock, enable and reset."""

    def __init__(self, stages):
        self.stages = stages
        self.held = dict.fromkeys(stages, 0)

    def product(self, inputs, a, b):
        def signed(value, sign):
            return value - (1 << 18) if sign and value >> 17 else value

        return signed(a, inputs["signed_a"]) * signed(b, inputs["signed_b"]) & (1 << 36) - 1

    def next(self, inputs):
        """Values that each stage passes on now, by its name."""
        a = self.held.get("INPUTA", inputs["a"])
        b = self.held.get("INPUTB", inputs["b"])
        piped = self.held.get("PIPELINE", self.product(inputs, a, b))
        return {"INPUTA": inputs["a"], "INPUTB": inputs["b"],
                "PIPELINE": self.product(inputs, a, b), "OUTPUT": piped}  # fmt: skip

    def clock(self, inputs):
        coming = self.next(inputs)
        for stage, number in self.stages.items():
            if inputs["rst"] >> number & 1:
                self.held[stage] = 0
            elif inputs["ce"] >> number & 1:
                self.held[stage] = coming[stage]

    def output(self, inputs):
        return self.held.get("OUTPUT", self.next(inputs)["OUTPUT"])


async def edge(dut):
    """One cycle of all clocks."""
    dut.clk.value = 1
    await Timer(5, "ns")
    dut.clk.value = 0
    await Timer(5, "ns")


@cocotb.test()
async def block_rams(dut):
    """Random accesses, of which many meet in a row."""
    job = json.loads(Path(os.environ["PULSAR_JOB"]).read_text())
    kinds = [WideRam if each["width"]["a"] == 36 else BlockRam for each in job["rams"]]
    rams = [kind(**each) for kind, each in zip(kinds, job["rams"], strict=True)]
    numbers = random.Random(1)
    dut.clk.value = 0
    for _ in range(CYCLES):
        inputs = {
            port: {name: numbers.getrandbits(bits) for name, bits in PORT_INPUTS.items()}
            for port in "ab"
        }
        for given in inputs.values():
            given["ad"] = numbers.randrange(ROWS) << 4 | given["ad"] & 15
            given["ce"] = numbers.random() < 0.8
            given["rst"] = numbers.random() < 0.1
        if inputs["a"]["ad"] >> 4 == inputs["b"]["ad"] >> 4:
            inputs["b"]["we"] &= not inputs["a"]["we"]  # two writes to one place are not allowed
        for port, given in inputs.items():
            for name, value in given.items():
                getattr(dut, f"{name}_{port}").value = int(value)
        await edge(dut)
        for index, ram in enumerate(rams):
            ram.clock(inputs)
            for port in "ab":
                found = int(getattr(dut, f"do_{port}_{index}").value)
                assert found == ram.out[port], (job["rams"][index]["width"], port, index)


@cocotb.test()
async def multipliers(dut):
    """Random factors, enables and resets; signs stay, as registers do not delay them."""
    job = json.loads(Path(os.environ["PULSAR_JOB"]).read_text())
    numbers = random.Random(2)
    for signs in range(4):
        dut.rst.value = 15
        await edge(dut)
        parts = [Multiplier(each) for each in job["multipliers"]]
        for _ in range(CYCLES // 4):
            inputs = {"a": numbers.getrandbits(18), "b": numbers.getrandbits(18),
                      "signed_a": signs & 1, "signed_b": signs >> 1,
                      "ce": numbers.getrandbits(4),
                      "rst": numbers.getrandbits(4) & numbers.getrandbits(4)}  # fmt: skip
            for name, value in inputs.items():
                getattr(dut, name).value = value
            await Timer(1, "ns")
            await edge(dut)
            for index, part in enumerate(parts):
                part.clock(inputs)
                found = int(getattr(dut, f"p_{index}").value)
                assert found == part.output(inputs), (job["multipliers"][index], inputs)


@cocotb.test()
async def loop(dut):
    """Locks after some cycles, loses the lock in reset; clock out is clock in."""
    dut.loop_reset.value = 1
    await edge(dut)
    dut.loop_reset.value = 0
    locked = []
    for _ in range(20):
        dut.clk.value = 1
        await Timer(5, "ns")
        assert int(dut.loop_clock.value) == 1
        dut.clk.value = 0
        await Timer(5, "ns")
        assert int(dut.loop_clock.value) == 0
        locked.append(int(dut.locked.value))
    assert not locked[0] and locked[-1] and locked == sorted(locked)
    dut.loop_reset.value = 1
    await Timer(1, "ns")
    assert not int(dut.locked.value)
