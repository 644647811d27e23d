"""cocotb: programs of LOAD and STORE through registers and AXI, with stalls, errors, resets."""

import itertools
import os
import random
from dataclasses import replace

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from rtl.config import TINY
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import Base, Instruction, Opcode, Target, Unit, UnitSet, credit
from rtl.isa.registers import IDENTITY, OFFSETS, REGISTERS
from tests.benches.axi_rules import AxiRules

CONFIG = replace(TINY, memory_bytes=int(os.environ.get("MEMORY_BYTES", "16")))
PROGRAM, MODEL, IMAGE, OUTPUT = 0x0_1000, 0x1_0000, 0x2_0000, 0x3_0000
SIZE = 0x4_0000
WIDE = {register.name: register.words for register in REGISTERS}
BUSY, DONE, ERROR, IGNORED, RESETTING, IRQ = (1 << i for i in range(6))


def program(instructions, *, engine=CONFIG.hash, count=None, credits=None):
    """Encoded, with BEGIN and END around; credits from STORE to LOAD."""
    count = len(instructions) + 2 if count is None else count
    if credits is None:  # those of COPY
        credits = 2 if COPY[0] in instructions else 0
    operands = {"engine": engine, "instructions": count, STORE_TO_LOAD: credits}
    begin = Instruction(Opcode.BEGIN, operands)
    whole = [begin, *instructions, Instruction(Opcode.END, {})]
    return b"".join(i.encode() for i in whole)


def load(offset, tokens, *, base=Base.MODEL, token=0, **more):
    operands = {
        "target": Target.RESIDUAL, "base": base, "offset": offset, "bytes": 64 * tokens,
        "stride": 2, "token": token, "row_words": 2, "destination": token // 4 * 2,
    }  # fmt: skip
    return Instruction(Opcode.LOAD, operands, **more)


def store(offset, token, more_tokens=0, int16=0, **more):
    operands = {"base": Base.OUTPUT, "offset": offset, "source_address": token // 4 * 2,
                "token": token, "row_words": 2, "more_words": 2 * more_tokens,
                "int16": int16}  # fmt: skip
    return Instruction(Opcode.STORE, operands, **more)


SIGNAL = {"signal": UnitSet.STORE}
WAIT = {"wait": UnitSet.LOAD}
STORE_TO_LOAD = credit(Unit.STORE, Unit.LOAD)
# Each LOAD waits until the image before has stored what it overwrites.
NEXT, AFTER = SIGNAL | {"wait": UnitSet.STORE}, WAIT | {"signal": UnitSet.LOAD}
COPY = [load(0, 9, **NEXT), load(9 * 64, 3, base=Base.IMAGE, token=9, **NEXT),
        store(0, 5, **AFTER), store(0x80, 10, **AFTER)]  # fmt: skip


def as_int32(raw):
    values = [int.from_bytes(raw[i : i + 2], "little", signed=True) for i in range(0, len(raw), 2)]
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)


def pauses(seed, probability):
    rng = random.Random(seed)
    return (rng.random() < probability for _ in itertools.count())


class ShellBench:
    """The design with a memory and a host."""

    def __init__(self, dut):
        self.dut = dut
        Clock(dut.clk, 10, unit="ns", impl="gpi").start()
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "host_"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "memory_"), dut.clk, dut.rst, size=SIZE)
        for part in (self.host.write_if, self.host.read_if, self.ram.write_if, self.ram.read_if):
            part.log.setLevel("WARNING")
        self.rules = AxiRules(dut, CONFIG.memory_bytes)
        self.content = random.Random(1).randbytes(0x2000)
        self.ram.write(MODEL, self.content)
        self.ram.write(IMAGE, self.content[::-1])

    def stall(self, probability):
        read, write = self.ram.read_if, self.ram.write_if
        channels = (read.ar_channel, read.r_channel, write.aw_channel, write.w_channel,
                    write.b_channel)  # fmt: skip
        for seed, channel in enumerate(channels):
            channel.set_pause_generator(pauses(seed, probability))

    def fail(self, access, address):
        """Answer accesses that touch ``address`` with an error; return how to undo it."""
        interface = self.ram.write_if if access == "write" else self.ram.read_if
        original = getattr(interface, f"_{access}")

        async def failing(first, what):
            size = what if isinstance(what, int) else len(what)
            if first <= address < first + size:
                raise OSError("an error on purpose")
            return await original(first, what)

        setattr(interface, f"_{access}", failing)
        return lambda: setattr(interface, f"_{access}", original)

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 4)
        cocotb.start_soon(self.rules.watch())

    async def read(self, name):
        value = await self.host.read(OFFSETS[name], 4 * WIDE[name])
        return int.from_bytes(value.data, "little")

    async def write(self, name, value):
        return await self.host.write(OFFSETS[name], value.to_bytes(4 * WIDE[name], "little"))

    async def start(self, code, *, images=1, watchdog=2000, **registers):
        self.ram.write(PROGRAM, code)
        values = {
            "program_address": PROGRAM, "program_bytes": len(code), "images": images,
            "model_base": MODEL, "model_limit": MODEL + 0x2000, "image_base": IMAGE,
            "image_limit": IMAGE + 0x2000, "output_base": OUTPUT, "output_limit": OUTPUT + 0x1000,
            "image_stride": 0x400, "output_stride": 0x100, "watchdog_cycles": watchdog,
            "irq_enable": 1,
        }  # fmt: skip
        for name, value in (values | registers).items():
            await self.write(name, value)
        await self.write("control", 1)

    async def done(self):
        for _ in range(500):
            status = await self.read("status")
            if status & DONE:
                return status
            await ClockCycles(self.dut.clk, 20)
        state = {name: await self.read(name) for name in ("status", "error", "cycles", "images")}
        raise AssertionError(f"the engine hangs: {state}")

    async def error(self):
        assert await self.done() == DONE | ERROR | IRQ
        error = await self.read("error")
        return FaultCode(error & 15), error >> 4 & 15, error >> 8

    async def soft_reset(self):
        await self.write("control", 2)
        for _ in range(100):
            if not await self.read("status") & RESETTING:
                break
        assert await self.read("status") == 0
        assert await self.read("program_address") == 0

    def check_copy(self, images=1):
        for image in range(images):
            at = OUTPUT + 0x100 * image
            assert self.ram.read(at, 0x80) == as_int32(self.content[5 * 64 : 6 * 64])
            pixels = self.content[::-1][0x400 * image + 9 * 64 :]
            assert self.ram.read(at + 0x80, 0x80) == as_int32(pixels[64:128])


async def prepared(dut, stall=0.0):
    bench = ShellBench(dut)
    bench.stall(stall)
    await bench.reset()
    return bench


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.7], images=[1, 2, 3, 5])
async def copies_and_counts(dut, stall, images):
    bench = await prepared(dut, stall)
    assert await bench.read("identity") == IDENTITY
    assert await bench.read("engine") == CONFIG.hash
    for _ in range(2):  # twice, without reset
        bench.ram.write(OUTPUT, bytes(0x1000))
        await bench.start(program(COPY), images=images)
        assert await bench.done() == DONE | IRQ
        assert dut.irq.value == 1
        bench.check_copy(images)
        assert await bench.read("images_done") == images
        first, last = await bench.read("cycles_first"), await bench.read("cycles_last")
        assert 0 < first <= last < await bench.read("cycles")
        assert (first == last) == (images == 1)
        if stall == 0:  # images overlap
            assert last - first < 0.8 * (images - 1) * first or images == 1
        assert await bench.read("load_busy") > 0
        assert await bench.read("store_waits_for_load") > 0
        dut._log.info(f"stall {stall}: first {first}, all {last} cycles")
    await bench.write("control", 4)
    assert dut.irq.value == 0


TOKENS = [load(0, 9, **SIGNAL), store(0, 3, 5, 1, **WAIT), store(0x400, 0, 8)]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6])
async def stores_tokens(dut, stall):
    """Six tokens of three groups as int16, nine as int32."""
    bench = await prepared(dut, stall)
    bench.ram.write(OUTPUT, bytes(0x1000))
    await bench.start(program(TOKENS))
    assert await bench.done() == DONE | IRQ
    assert bench.ram.read(OUTPUT, 0x400) == bench.content[3 * 64 : 9 * 64].ljust(0x400, b"\0")
    assert bench.ram.read(OUTPUT + 0x400, 9 * 128) == as_int32(bench.content[: 9 * 64])


def bad(instruction, **header):
    raw = int.from_bytes(instruction.encode(), "little")
    for shift, value in header.values():
        raw |= value << shift
    return raw.to_bytes(32, "little")


LOCKED = [load(0, 1), store(0, 0, wait=UnitSet.MATMUL)]
FAULTS = {
    "opcode": (program(COPY).replace(COPY[2].encode(), bytes(32)), FaultCode.OPCODE, FETCH, 3),
    "no begin": (program(COPY)[32:], FaultCode.OPCODE, FETCH, 0),
    "no end": (program(COPY)[:-32], FaultCode.ENGINE, FETCH, 0),
    "engine": (program(COPY, engine=1), FaultCode.ENGINE, FETCH, 0),
    "length": (program(COPY, count=7), FaultCode.ENGINE, FETCH, 0),
    "address": (program([load(0, 1), load(0x2000, 1)]), FaultCode.ADDRESS, Unit.LOAD, 2),
    "scratchpad": (program([load(0, 1, token=4 * 256)]), FaultCode.ADDRESS, Unit.LOAD, 1),
    "scratchpad read": (program([store(0, 4 * 256)]), FaultCode.ADDRESS, Unit.STORE, 1),
    "imbalance": (program([load(0, 1, **SIGNAL)]), FaultCode.SEMAPHORE, FETCH, 2),
    "credits used up": (
        program([load(0, 1, wait=UnitSet.STORE)], credits=1),
        FaultCode.SEMAPHORE,
        FETCH,
        2,
    ),
    "credits too low": (program(COPY, credits=0), FaultCode.WATCHDOG, Unit.LOAD, 1),
    "overflow": (program([load(0, 1, **SIGNAL)] * 256), FaultCode.SEMAPHORE, Unit.LOAD, 256),
    "deadlock": (program(LOCKED), FaultCode.WATCHDOG, Unit.STORE, None),
}


@cocotb.test()
@cocotb.parametrize(case=list(FAULTS))
async def faults_stop_the_engine(dut, case):
    code, fault, unit, number = FAULTS[case]
    bench = await prepared(dut)
    await bench.start(code)
    seen = await bench.error()
    assert seen[:2] == (fault, unit), (case, seen)
    if number is not None:
        assert seen[2] == number, (case, seen)
    if case == "deadlock":
        assert await bench.read("waits") == UnitSet.MATMUL << 5 * Unit.STORE
        assert seen[2] == 2
    await bench.write("control", 1)  # a fault is cleared by reset alone
    assert await bench.read("status") == DONE | ERROR | IRQ | IGNORED
    await bench.soft_reset()
    await bench.start(program(COPY))
    assert await bench.done() == DONE | IRQ
    bench.check_copy()


ERRORS = {
    "program": (PROGRAM + 3 * 32 + 5, FaultCode.READ, FETCH, 3),
    "load": (MODEL + 8 * 64, FaultCode.READ, Unit.LOAD, 1),
    "store": (OUTPUT + 0xF0, FaultCode.WRITE, Unit.STORE, 4),
}


@cocotb.test()
@cocotb.parametrize(kind=list(ERRORS), stall=[0.0, 0.4])
async def error_responses_are_faults(dut, kind, stall):
    address, fault, unit, number = ERRORS[kind]
    bench = await prepared(dut, stall)
    restore = bench.fail("write" if kind == "store" else "read", address)
    await bench.start(program(COPY))
    seen = await bench.error()
    # A burst is one access of cocotbext-axi's memory: all its beats fail together.
    assert seen[:2] == (fault, unit), seen
    assert seen[2] <= number if kind == "program" else seen[2] == number, seen
    restore()
    await bench.soft_reset()
    await bench.start(program(COPY))
    assert await bench.done() == DONE | IRQ
    bench.check_copy()


BEYOND = {"image_limit": IMAGE + 0x400 + 9 * 64}  # where the second image's last LOAD begins


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def a_fault_in_the_second_image_stops_both(dut, stall):
    bench = await prepared(dut, stall)
    await bench.start(program(COPY), images=3, **BEYOND)
    assert await bench.error() == (FaultCode.ADDRESS, Unit.LOAD, 2)
    assert await bench.read("images_done") <= 1  # the first one may have been in flight
    await bench.soft_reset()
    restore = bench.fail("write", OUTPUT + 0x100 + 0xF0)
    await bench.start(program(COPY), images=3)
    assert await bench.error() == (FaultCode.WRITE, Unit.STORE, 4)
    assert await bench.read("images_done") == 1
    bench.check_copy()
    restore()
    await bench.soft_reset()
    await bench.start(program(COPY), images=2)
    assert await bench.done() == DONE | IRQ
    bench.check_copy(2)


@cocotb.test()
async def an_imbalance_is_found_behind_the_last_image(dut):
    """One credit less each time: enough for three images, not for four."""
    bench = await prepared(dut)
    drains = program([load(0, 1, wait=UnitSet.STORE), store(0, 0)], credits=3)
    await bench.start(drains, images=3)
    assert await bench.error() == (FaultCode.SEMAPHORE, FETCH, 3)
    assert await bench.read("images_done") == 3
    await bench.soft_reset()
    await bench.start(drains, images=4)
    assert await bench.error() == (FaultCode.WATCHDOG, Unit.LOAD, 1)
    assert await bench.read("images_done") == 3


@cocotb.test()
async def an_interrupt_for_each_image(dut):
    bench = await prepared(dut, 0.5)
    await bench.start(program(COPY * 4), images=3, irq_enable=3)
    seen = []
    while 3 not in seen:
        if not dut.irq.value:
            await with_timeout(RisingEdge(dut.irq), 100, "us")
        await bench.write("control", 4)
        seen.append(await bench.read("images_done"))
    assert seen == [1, 2, 3]
    assert await bench.done() & DONE
    assert dut.irq.value == 0


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def reset_in_mid_run(dut, stall):
    bench = await prepared(dut, stall)
    for wait in (0, 7, 40, 90, 150, 230, 310, 420, 560, 700, 900):
        await bench.start(program(COPY * 3), images=5)
        await ClockCycles(dut.clk, wait)
        await bench.soft_reset()
        bench.ram.write(OUTPUT, bytes(0x1000))
        await bench.start(program(COPY), images=2)
        assert await bench.done() == DONE | IRQ
        bench.check_copy(2)


@cocotb.test()
async def second_start_is_ignored(dut):
    bench = await prepared(dut, 0.5)
    await bench.start(program(COPY), images=4)
    await bench.write("control", 1)
    assert await bench.done() == DONE | IRQ | IGNORED
    bench.check_copy(4)


@cocotb.test()
async def unknown_registers_are_refused(dut):
    bench = await prepared(dut)
    assert (await bench.host.read(0xFFC, 4)).resp == 0
    assert (await bench.host.write(0xFFC, bytes(4))).resp == 0
    await bench.host.write(OFFSETS["images"] + 1, b"\x05")  # a byte alone
    assert await bench.read("images") == 0x501
