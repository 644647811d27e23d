"""Amaranth layouts of the instruction set, from the table in :mod:`rtl.isa.instructions`."""

from enum import IntFlag

from amaranth.hdl import Shape, ShapeLike, unsigned
from amaranth.lib import data

from rtl.isa.instructions import (
    CREDIT_BITS,
    HEADER,
    INSTRUCTION_BITS,
    UNITS,
    Field,
    Opcode,
    fields_of,
)

NUMBER_BITS = 24  # instruction numbers, counted from the program's BEGIN = 0

CREDITS = data.ArrayLayout(data.ArrayLayout(unsigned(CREDIT_BITS), UNITS), UNITS)
"""By producer, then by consumer: a semaphore's value before the first image."""


def _struct(fields: tuple[Field, ...]) -> dict[str, ShapeLike]:
    """Shapes of fields by name: an enum, if it gives the field's width, or a number."""
    return {field.name: _shape(field) for field in fields}


def _shape(field: Field) -> ShapeLike:
    if field.enum is None or issubclass(field.enum, IntFlag):
        return unsigned(field.bits)
    assert Shape.cast(field.enum).width == field.bits, field.name
    return field.enum


HEADER_LAYOUT = data.StructLayout(_struct(HEADER))


def operands_layout(opcode: Opcode, selection: bool = False) -> data.StructLayout:
    """Layout of the operands of ``opcode``, without the header; of an engine with ``selection``."""
    return data.StructLayout(_struct(fields_of(opcode, selection)[len(HEADER) :]))


def instruction_layout(opcode: Opcode, selection: bool = False) -> data.StructLayout:
    """Layout of a whole instruction: ``header``, ``operands`` of ``opcode``, padding."""
    operands = operands_layout(opcode, selection)
    used = HEADER_LAYOUT.size + operands.size
    return data.StructLayout(
        {
            "header": HEADER_LAYOUT,
            "operands": operands,
            "padding": unsigned(INSTRUCTION_BITS - used),
        }
    )


MEMORY_OPCODES = (Opcode.LOAD, Opcode.STORE)
"""Instructions that move data between the chip and memory."""


def dispatch_layout(opcode: Opcode, selection: bool = False) -> data.StructLayout:
    """An instruction as its unit receives it: operands, consumers to signal, number.

    One of ``MEMORY_OPCODES`` also has the ``parity`` of its image: two images may be in flight,
    each with its own base addresses. With ``selection``, SOFTMAX also has ``select``: it is a
    SELECT, and the lowest bits of its operands are those of SELECT.
    """
    fields: dict[str, ShapeLike] = {
        "operands": operands_layout(opcode, selection),
        "signal": unsigned(UNITS),
        "number": unsigned(NUMBER_BITS),
    }
    if opcode in MEMORY_OPCODES:
        fields["parity"] = unsigned(1)
    if selection and opcode is Opcode.SOFTMAX:
        fields["select"] = unsigned(1)
    return data.StructLayout(fields)


def queued_layout(opcode: Opcode, selection: bool = False) -> data.StructLayout:
    """An instruction in the queue of its unit, with the producers that it waits for."""
    dispatch = dispatch_layout(opcode, selection)
    return data.StructLayout({"dispatch": dispatch, "wait": unsigned(UNITS)})


class Completion(data.Struct):
    """The report of a unit that its oldest instruction is complete."""

    valid: unsigned(1)
    signal: unsigned(UNITS)  # the consumers whose semaphore is raised
    number: unsigned(NUMBER_BITS)
