"""The fetcher: every instruction once and in order, in its unit's queue; else a fault.

The decoder is tested here, too: it only stands behind a fetcher. The control unit around it all is
wiring, tested with the shell (tests/rtl/memory/test_axi.py).
"""

import random
from collections import deque
from dataclasses import dataclass, field, replace

import pytest

from rtl.config import TINY, ZCU102
from rtl.control.fetch import Fetch
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import (
    INSTRUCTION_BYTES,
    OPCODE_OF,
    UNIT_OF,
    Instruction,
    Opcode,
    Unit,
    UnitSet,
    assemble,
)
from rtl.isa.layouts import operands_layout
from rtl.timing import UnitLatencies
from rtl.timing.fetch import FetchTiming
from rtl.timing.port import NEVER
from tests.rtl.simulation import simulate

ENGINES = {"narrow beats": TINY, "two instructions a beat": ZCU102}
NAMES = [unit.name.lower() for unit in Unit]
KNOWN = list(OPCODE_OF.values())
BODY = [opcode for opcode in KNOWN for _ in range(3)] + KNOWN * 4
COUNT = len(BODY) + 2
CREDIT = 3


def program(engine, *, count=COUNT):
    """BEGIN, BODY, END; each instruction's ``wait`` tells its unit's number."""
    begin = {"engine": engine.hash, "instructions": count, "store_to_load": CREDIT}
    body = [Instruction(opcode, {}, wait=UnitSet(1 << UNIT_OF[opcode])) for opcode in BODY]
    return [Instruction(Opcode.BEGIN, begin), *body, Instruction(Opcode.END, {})]


@dataclass
class Seen:
    """Outputs of a fetcher, with cycles."""

    queued: list = field(default_factory=list)  # cycle, unit, number, parity or None
    ends: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)  # beats
    credits: list = field(default_factory=list)
    fault: dict | None = None
    finished: bool = False


def run(engine, instructions, *, images=1, stall=0.0, failing=None, also=lambda ctx, dut: None):
    """Fetch a program; ``failing`` is a beat that memory answers with an error.

    The program's last beat is filled up with more LOADs. Each image is done when its END was seen.
    """
    dut, seen, rng = Fetch(engine), Seen(), random.Random(1)
    text = assemble(instructions)
    size, filler = len(text), Instruction(Opcode.LOAD, {}).encode()
    text += filler * (-size % engine.memory_bytes // INSTRUCTION_BYTES)
    width = engine.memory_bytes
    beats = [int.from_bytes(text[i : i + width], "little") for i in range(0, len(text), width)]

    async def bench(ctx):
        waiting = []  # beats that memory still has to send
        for name, value in (("program_bytes", size), ("images", images), ("balanced", 1)):
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.reader.command.ready, 1)
        ctx.set(dut.start, 1)
        for cycle in range(40 + 8 * images * len(instructions)):
            if waiting:
                index, beat = waiting[0]
                ctx.set(dut.reader.beats.p, {"data": beat, "error": index == failing})
            ctx.set(dut.reader.beats.valid, bool(waiting))
            for name in NAMES:
                ctx.set(getattr(dut, name).ready, rng.random() >= stall)
            look(ctx, dut, seen, cycle)
            also(ctx, dut)
            if waiting and ctx.get(dut.reader.beats.ready):
                seen.read.append(cycle)
                waiting.pop(0)
            if ctx.get(dut.reader.command.valid):
                waiting += enumerate(beats)
            ctx.set(dut.image_done, ctx.get(dut.ended))
            await ctx.tick()
            ctx.set(dut.start, 0)

    simulate(dut, bench)
    return seen


def look(ctx, dut, seen, cycle):
    """Note the fetcher's outputs in this cycle."""
    for unit, name in enumerate(NAMES):
        queue = getattr(dut, name)
        if ctx.get(queue.valid) and ctx.get(queue.ready):
            dispatch = queue.p.dispatch
            parity = ctx.get(dispatch.parity) if hasattr(dispatch, "parity") else None
            assert ctx.get(queue.p.wait) == 1 << unit
            seen.queued.append((cycle, unit, ctx.get(dispatch.number), parity))
    if ctx.get(dut.ended):
        seen.ends.append(cycle)
    if ctx.get(dut.starts):
        seen.credits.append(ctx.get(dut.credits[Unit.STORE][Unit.LOAD]))
    if ctx.get(dut.fault.valid):
        assert seen.fault is None
        seen.fault = ctx.get(dut.fault)
    seen.finished |= bool(ctx.get(dut.finished))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stall", [0, 0.5, 0.8])
def test_every_instruction_once_and_in_order(engine, stall):
    """In each of three images, with the image's parity; nothing of what fills the last beat."""
    seen = run(ENGINES[engine], program(ENGINES[engine]), images=3, stall=stall)
    expected = [
        (UNIT_OF[opcode], number, image % 2 if opcode in (Opcode.LOAD, Opcode.STORE) else None)
        for image in range(3)
        for number, opcode in enumerate(BODY, 1)
    ]
    assert [entry[1:] for entry in seen.queued] == expected
    assert len(seen.ends) == 3 and seen.finished and seen.fault is None
    assert seen.credits == [CREDIT]


@pytest.mark.parametrize("engine", ENGINES)
def test_cycles_from_beat_to_queue(engine):
    """One after another without a pause, as beats come or one per cycle."""
    engine = ENGINES[engine]
    seen = run(engine, program(engine))
    beats = max(1, INSTRUCTION_BYTES // engine.memory_bytes)  # per instruction
    first = seen.read[0] + beats - 1 + 1 + Fetch.DECODE_CYCLES  # 1 in the gearbox: BEGIN
    cycles = [cycle for cycle, *_ in seen.queued] + seen.ends
    assert cycles == [first + beats * number for number in range(1, COUNT)]


@pytest.mark.parametrize("engine, beats", list(zip(ENGINES, (10, 3), strict=True)))
def test_four_instructions_are_inside_while_no_queue_has_room(engine, beats):
    """One in the decoder, two in the skid buffer, one in the gearbox; BEGIN was before them."""
    engine = ENGINES[engine]
    seen = run(engine, program(engine), stall=1.0)
    assert len(seen.read) == beats and not seen.queued


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stall", [0, 0.5, 0.8])
def test_the_timing_model_takes_beats_and_decodes_in_the_same_cycles(engine, stall):
    """It is told when a place in a unit's queue gets free: before each instruction goes there."""
    engine = ENGINES[engine]
    seen = run(engine, program(engine), stall=stall)
    units = [None, *map(UNIT_OF.get, BODY), None]
    fetch = FetchTiming(engine, UnitLatencies(), 0, units, 1)
    fetch.reader.buffered += [seen.read[0]] * len(seen.read)
    fetch.issued = [deque() for _ in Unit]
    process = fetch.process([NEVER])
    for cycle, unit, *_ in seen.queued:
        next(process)  # as far as it gets without this place
        fetch.issued[unit].append(cycle - 1)
    next(process)
    queue = UnitLatencies().queue
    assert [at - queue for at in fetch.available if at != NEVER] == [at for at, *_ in seen.queued]
    assert fetch.reader.taken[: len(seen.read)] == seen.read
    assert fetch.ended == seen.ends[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize(
    "number, instruction, code",
    [
        (0, Instruction(Opcode.LOAD, {}), FaultCode.OPCODE),
        (5, Instruction(Opcode.BEGIN, {}), FaultCode.OPCODE),
        (6, Instruction(Opcode.END, {}), FaultCode.OPCODE),
        (COUNT - 1, Instruction(Opcode.LOAD, {}), FaultCode.OPCODE),
        (3, Instruction(Opcode.SELECT, {}), FaultCode.OPCODE),
        (0, program(TINY, count=COUNT + 1)[0], FaultCode.ENGINE),
        (0, Instruction(Opcode.BEGIN, {"engine": 1, "instructions": COUNT}), FaultCode.ENGINE),
    ],
)
def test_an_instruction_out_of_place_is_a_fault(engine, stall, number, instruction, code):
    """It is named; what comes before it was handed out, nothing that comes behind it is."""
    instructions = program(ENGINES[engine])
    instructions[number] = instruction
    seen = run(ENGINES[engine], instructions, stall=stall)
    assert (seen.fault.code, seen.fault.unit, seen.fault.number) == (code, FETCH, number)
    assert [entry[2] for entry in seen.queued] == list(range(1, number))
    assert not seen.ends and not seen.finished


@pytest.mark.parametrize("engine", ENGINES)
def test_a_read_error_is_a_fault_of_the_first_instruction_that_it_hits(engine):
    engine = ENGINES[engine]
    seen = run(engine, program(engine), failing=7)
    number = 7 * engine.memory_bytes // INSTRUCTION_BYTES
    assert (seen.fault.code, seen.fault.number) == (FaultCode.READ, number)
    assert [entry[2] for entry in seen.queued] == list(range(1, number))


def test_select_goes_to_the_softmax_unit_of_engines_that_select_tokens():
    """With its operands in the lowest bits, among SOFTMAXes with theirs."""
    engine, given = replace(TINY, select_tokens=256), []
    operands = {"patches": 200, "keep": 7, "others": 3, "stride": 4095}
    softmax = {"importance": 1, "importance_first": 1, "keys": 77}
    body = [
        Instruction(Opcode.SOFTMAX, softmax, UnitSet.SOFTMAX),
        Instruction(Opcode.SELECT, operands, UnitSet.SOFTMAX),
        Instruction(Opcode.SOFTMAX, {"keys": 5}, UnitSet.SOFTMAX),
    ]
    begin = Instruction(
        Opcode.BEGIN, {"engine": engine.hash, "instructions": 5, "store_to_load": CREDIT}
    )

    def note(ctx, dut):
        queue = dut.softmax
        if ctx.get(queue.valid) and ctx.get(queue.ready):
            dispatch = queue.p.dispatch
            given.append((ctx.get(dispatch.select), ctx.get(dispatch.operands.as_value())))

    seen = run(engine, [begin, *body, Instruction(Opcode.END, {})], also=note)
    assert seen.finished and seen.fault is None
    assert [select for select, _ in given] == [0, 1, 0]
    for (_, raw), instruction in zip(given, body, strict=True):
        layout = operands_layout(instruction.opcode, True)
        word = layout.from_bits(raw & ((1 << layout.size) - 1))
        assert all(word[name] == value for name, value in instruction.operands.items())
