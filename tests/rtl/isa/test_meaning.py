"""Every instruction has a loop nest, short, that names every operand."""

import re

import pytest

from rtl.isa.instructions import INSTRUCTIONS, Opcode, Unit, credit
from rtl.isa.meaning import MEANING

CREDITS = {credit(producer, consumer) for producer in Unit for consumer in Unit}


@pytest.mark.parametrize("opcode", Opcode)
def test_the_loop_nest_has_4_to_10_lines(opcode):
    lines = MEANING[opcode].strip().splitlines()
    assert 4 <= len(lines) <= 10 and max(map(len, lines)) <= 100


@pytest.mark.parametrize("opcode", Opcode)
def test_every_operand_is_named(opcode):
    words = set(re.findall(r"\w+", MEANING[opcode]))
    operands = {field.name for field in INSTRUCTIONS[opcode]} - CREDITS
    assert operands <= words, operands - words
