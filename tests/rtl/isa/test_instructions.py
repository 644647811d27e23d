"""Instructions encode, decode and print; what does not fit is refused."""

import random
import zlib

import pytest
from amaranth.lib import data

from rtl.isa import instructions as isa
from rtl.isa import layouts as layout
from rtl.isa.instructions import Instruction, Opcode, UnitSet, assemble, seal


def random_instruction(opcode: Opcode, rng: random.Random, selection: bool = True) -> Instruction:
    operands = {}
    for field in isa.fields_of(opcode, selection)[len(isa.HEADER) :]:
        values = list(field.enum) if field.enum else [rng.getrandbits(field.bits)]
        operands[field.name] = int(rng.choice(values))
    return Instruction(opcode, operands, UnitSet(rng.getrandbits(5)), UnitSet(rng.getrandbits(5)))


@pytest.mark.parametrize("opcode", Opcode)
def test_round_trip(opcode):
    rng = random.Random(opcode)
    for _ in range(20):
        instruction = random_instruction(opcode, rng)
        assert Instruction.decode(instruction.encode()) == instruction


@pytest.mark.parametrize("opcode", Opcode)
def test_the_hardware_layout_finds_the_same_fields(opcode):
    instruction = random_instruction(opcode, random.Random(opcode + 100))
    shape = layout.instruction_layout(opcode, selection=True)
    word = data.Const(shape, int.from_bytes(instruction.encode(), "little"))
    assert word.header.opcode == opcode
    assert word.header.wait == instruction.wait
    assert word.header.signal == instruction.signal
    for name, value in instruction.operands.items():
        assert getattr(word.operands, name) == value


def test_engines_without_selection_know_none_of_it():
    """SELECT is unknown there, and SOFTMAX's fields lie where they lay, without those for it."""
    assert set(Opcode) - set(isa.opcodes(False)) == {Opcode.SELECT}
    assert isa.opcodes(True) == tuple(Opcode)
    for opcode in isa.opcodes(False):
        plain, other = layout.operands_layout(opcode), layout.operands_layout(opcode, True)
        differ = [name for name, _ in other if name not in dict(plain)]
        assert differ == (["importance", "importance_first"] if opcode is Opcode.SOFTMAX else [])
        assert all(plain[name].offset == other[name].offset for name, _ in plain)
    softmax = layout.dispatch_layout(Opcode.SOFTMAX, True)
    assert softmax["operands"].width >= layout.operands_layout(Opcode.SELECT, True).size
    assert "select" not in dict(layout.dispatch_layout(Opcode.SOFTMAX))


def test_a_program_is_sealed_with_the_checksum_of_all_its_bytes():
    """The END's own field counts as 0; sealing again changes nothing."""
    begin, end = Instruction(Opcode.BEGIN, {"instructions": 2}), Instruction(Opcode.END, {})
    code = assemble([begin, end])
    assert code[:36] == begin.encode() + end.encode()[:4] and not any(code[40:])
    expected = zlib.crc32(begin.encode() + end.encode())
    assert Instruction.decode(code[32:])["checksum"] == expected == 0x91B4A42C
    assert seal(code) == code and seal(begin.encode()) == begin.encode() and seal(b"") == b""


def test_too_large_an_operand_is_named():
    with pytest.raises(ValueError, match=r"^NORM width = 2048 does not fit 11 bits$"):
        Instruction(Opcode.NORM, {"width": 2048}).encode()


def test_an_unknown_operand_is_named():
    with pytest.raises(ValueError, match=r"^STORE has no operand \['depth'\]$"):
        Instruction(Opcode.STORE, {"depth": 1})


def test_zeroed_memory_is_no_instruction():
    with pytest.raises(ValueError, match="0 is not a valid Opcode"):
        Instruction.decode(bytes(32))


def test_disassembly_names_units_and_enums():
    text = str(Instruction(Opcode.LOAD, {"target": 5, "bytes": 196}, UnitSet.MATMUL))
    assert text.startswith("LOAD    target=pixels base=model offset=0x0 bytes=196")
    assert text.endswith("wait=matmul")
