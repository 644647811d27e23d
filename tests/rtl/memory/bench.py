"""A unit that moves data between memory and the chip, on a bench: regions, instructions, waits."""

from typing import Any

from amaranth.hdl import Signal
from amaranth.lib import wiring

from rtl.isa.instructions import HEADER, IMAGES_IN_FLIGHT, Instruction, Opcode

PATIENCE = 5000  # cycles
REGIONS = (
    {"base": 0x1000, "limit": 0x9000},
    {"base": 0x9003, "limit": 0xF000},
    {"base": 0xF000, "limit": 0x10000},
)


async def give(ctx: Any, port: wiring.PureInterface) -> None:
    """Hand over the payload that was set."""
    ctx.set(port.valid, 1)
    for _ in range(PATIENCE):
        *_, ready = await ctx.tick().sample(port.ready)
        if ready:
            break
    else:
        raise AssertionError("not taken")
    ctx.set(port.valid, 0)


async def pulse(ctx: Any, reset: Signal) -> None:
    """Reset for one cycle."""
    ctx.set(reset, 1)
    await ctx.tick()
    ctx.set(reset, 0)


async def start(ctx: Any, dut: wiring.Component, opcode: Opcode, number: int, **operands) -> None:
    """Give the unit an instruction, also one that no program would hold."""
    word = int.from_bytes(Instruction(opcode, operands).encode(), "little")
    bits = dut.i.payload.operands.as_value()
    ctx.set(bits, word >> sum(field.bits for field in HEADER) & ((1 << len(bits)) - 1))
    ctx.set(dut.i.payload.signal, number % 32)
    ctx.set(dut.i.payload.number, number)
    await give(ctx, dut.i)


async def idle(ctx: Any, dut: wiring.Component) -> None:
    """Wait until the unit is idle."""
    for _ in range(PATIENCE):
        await ctx.tick()
        if ctx.get(dut.idle):
            return
    raise AssertionError("the unit hangs")


async def set_regions(ctx: Any, dut: wiring.Component) -> None:
    """Give both images in flight the regions of this bench."""
    for index, region in enumerate(REGIONS):
        for parity in range(IMAGES_IN_FLIGHT):
            ctx.set(dut.regions[parity][index], region)
