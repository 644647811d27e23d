"""Programs as instructions: operands, waits and signals come together."""

from rtl.compiler.operations import Operation, Program, Subject
from rtl.compiler.sizes import Plan
from rtl.config import TINY
from rtl.isa.instructions import Instruction, Opcode, Unit, UnitSet, assemble, credit
from sim.random_model import random_model

NOTHING = ((), (), Subject("", "", ""))
CREDIT = credit(Unit.STORE, Unit.LOAD)
PROGRAM = Program(
    Plan(random_model(patch=14, width=16, blocks=((1, 16),), classes=3).shape, TINY),
    operations=(
        Operation(Opcode.BEGIN, {"instructions": 3, CREDIT: 2}, *NOTHING),
        Operation(Opcode.LOAD, {"bytes": 64}, *NOTHING),
        Operation(Opcode.END, {}, *NOTHING),
    ),
    waits=(0, 1 << Unit.STORE, 0),
    signals=(0, 1 << Unit.MATMUL, 0),
    chunks=(),
    constant_bytes=128,
)


def test_an_instruction_has_its_marks():
    load = PROGRAM.instruction(1)
    assert (load.opcode, load["bytes"]) == (Opcode.LOAD, 64)
    assert (load.wait, load.signal) == (UnitSet.STORE, UnitSet.MATMUL)


def test_code_holds_all_instructions_in_order():
    code = PROGRAM.code
    assert len(code) == PROGRAM.program_bytes == 3 * 32
    decoded = [Instruction.decode(code[i : i + 32]) for i in range(0, len(code), 32)]
    assert code == assemble(PROGRAM.instructions()) == assemble(decoded)


def test_credits_are_those_of_begin():
    assert PROGRAM.credits[Unit.STORE][Unit.LOAD] == 2
    assert sum(map(sum, PROGRAM.credits)) == 2


def test_begin_and_end_belong_to_no_unit():
    units = [operation.unit for operation in PROGRAM.operations]
    assert units == [None, Unit.LOAD, None]
