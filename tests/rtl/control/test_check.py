"""The program's checksum, and bits that have no meaning: which instruction is to blame."""

import random
from dataclasses import replace

import pytest

from rtl.config import TINY
from rtl.control.check import ProgramCheck, used_bits
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import (
    CHECKSUM_OFFSET,
    HEADER,
    INSTRUCTION_BYTES,
    UNIT_OF,
    Instruction,
    Opcode,
    UnitSet,
    assemble,
    opcodes,
)
from tests.rtl.isa.test_instructions import random_instruction
from tests.rtl.simulation import simulate

WIDTHS = (4, 8, 16, 32, 64)


def selects(memory_bytes):
    """Whether the engine of a test selects tokens."""
    return memory_bytes in (8, 64)


def program(rng, memory_bytes, count=6):
    """BEGIN, some instructions with random operands, END."""
    selection = selects(memory_bytes)
    known = [opcode for opcode in opcodes(selection) if opcode in UNIT_OF]
    body = [random_instruction(rng.choice(known), rng, selection) for _ in range(count)]
    begin = replace(random_instruction(Opcode.BEGIN, rng), wait=UnitSet.NONE, signal=UnitSet.NONE)
    return [begin, *body, Instruction(Opcode.END, {})]


def faults(memory_bytes, *codes):
    """Faults of programs that follow each other, with their cycles behind the last instruction.

    Beats are taken in front of the instruction that they make, or of the two in one.
    """
    size = {"row_lanes": 4, "depth_lanes": 4} if memory_bytes < 8 else {"row_lanes": 64}
    depth = size.pop("depth_lanes", 8 if memory_bytes < 16 else 16)
    size |= {"memory_bytes": memory_bytes, "select_tokens": 256 * selects(memory_bytes)}
    engine = replace(TINY, **size, depth_lanes=depth)
    dut, found, rng = ProgramCheck(engine), [], random.Random(9)

    async def look(ctx, number):
        await ctx.tick()
        fault = ctx.get(dut.fault)
        if fault.valid:
            found.append((number, fault.code, fault.unit, fault.number))

    async def bench(ctx):
        for number, code in enumerate(codes):
            ctx.set(dut.begin, 1)
            await look(ctx, number)
            ctx.set(dut.begin, 0)
            final = len(code) // INSTRUCTION_BYTES - 1
            code += rng.randbytes(-len(code) % memory_bytes)  # a beat's rest is no instruction
            for at in range(0, len(code), INSTRUCTION_BYTES):
                for beat in range(at, at + INSTRUCTION_BYTES, memory_bytes):
                    ctx.set(dut.beat, int.from_bytes(code[beat : beat + memory_bytes], "little"))
                    ctx.set(dut.beat_moves, 1)
                    await look(ctx, number)
                    ctx.set(dut.beat_moves, 0)
                word = code[at : at + INSTRUCTION_BYTES]
                ctx.set(dut.instruction, int.from_bytes(word, "little"))
                ctx.set(dut.number, at // INSTRUCTION_BYTES)
                ctx.set(dut.last, at // INSTRUCTION_BYTES == final)
                ctx.set(dut.moves, 1)
                await look(ctx, number)
                ctx.set(dut.moves, 0)
            for _ in range(ProgramCheck.LATENCY - 1):
                await look(ctx, number)

    simulate(dut, bench)
    return found


@pytest.mark.parametrize("memory_bytes", WIDTHS)
def test_a_program_as_it_was_assembled_has_no_fault(memory_bytes):
    """Of any length, one after another; whatever follows in the last beat."""
    rng = random.Random(memory_bytes)
    assert (
        faults(memory_bytes, *(assemble(program(rng, memory_bytes, n)) for n in (1, 4, 6, 7))) == []
    )


def flipped(code, bit):
    place = bit // 8
    return code[:place] + bytes([code[place] ^ 1 << bit % 8]) + code[place + 1 :]


@pytest.mark.parametrize("memory_bytes", WIDTHS)
def test_every_flipped_bit_is_a_fault(memory_bytes):
    """A sample, with those in END; a bit that has no meaning is its own instruction's fault."""
    rng = random.Random(memory_bytes)
    instructions = program(rng, memory_bytes)
    code, end = assemble(instructions), 8 * INSTRUCTION_BYTES * (len(instructions) - 1)
    sample = [rng.randrange(4, end) for _ in range(12)]
    used = [CHECKSUM_OFFSET, CHECKSUM_OFFSET + 31]
    unused = [4, 13, CHECKSUM_OFFSET + 32, 255]  # END waits for nobody, signals nobody
    bits = [bit for bit in sample if bit % 256 >= 4] + [end + bit for bit in used + unused]
    found = faults(memory_bytes, *(flipped(code, bit) for bit in bits))
    assert {number for number, *_ in found} == set(range(len(bits)))
    for number, bit in enumerate(bits):
        first = next(fault for fault in found if fault[0] == number)
        index, offset = divmod(bit, 256)
        opcode = instructions[index].opcode
        unitless = opcode in (Opcode.BEGIN, Opcode.END) and offset < 14
        if offset >= used_bits(selects(memory_bytes))[opcode] or unitless:
            assert first[1:] == (FaultCode.OPCODE, FETCH, index)
        else:
            assert first[1:] == (FaultCode.CHECKSUM, FETCH, len(instructions) - 1)


def test_used_bits_are_those_of_the_table():
    assert used_bits(False)[Opcode.END] == sum(field.bits for field in HEADER) + 32
    assert used_bits(True)[Opcode.SOFTMAX] == used_bits(False)[Opcode.SOFTMAX] + 2
    assert Opcode.SELECT in used_bits(True) and Opcode.SELECT not in used_bits(False)
