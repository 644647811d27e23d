"""The interpreter's programs, regions and semaphores.

That instructions compute what golden does is shown by whole networks
(tests/rtl/compiler/test_programs.py), that the matmul unit does the same by tests/rtl/matmul.
"""

import numpy as np
import pytest

from rtl.config import TINY
from rtl.isa.instructions import Base, Instruction, Opcode, Target, UnitSet
from rtl.isa.scratchpads import Scratchpads
from rtl.isa.semantics import HostMemory, Interpreter, SemaphoreCounts
from sim import golden

BEGIN = Instruction(Opcode.BEGIN, {"load_to_store": 1, "store_to_load": 2})
RESIDUAL = {"target": Target.RESIDUAL, "base": Base.IMAGE, "token": 2, "row_words": 1}
SIZE = 2 * TINY.row_lanes
LOAD = Instruction(
    Opcode.LOAD, RESIDUAL | {"bytes": SIZE, "destination": 5}, UnitSet.STORE, UnitSet.STORE
)
STORE = Instruction(
    Opcode.STORE,
    {"base": Base.OUTPUT, "source_address": 5, "token": 2, "row_words": 1},
    UnitSet.LOAD,
    UnitSet.LOAD,
)
END = Instruction(Opcode.END, {})


def interpreter(*instructions, images=3):
    code = b"".join(i.encode() for i in instructions)
    values = np.arange(-TINY.row_lanes, (images - 1) * TINY.row_lanes, dtype="<i2")
    host = HostMemory(b"constants" + code + b"behind", values.tobytes(), len(b"constants"), images)
    return Interpreter(Scratchpads(TINY), golden, host), values.reshape(images, -1)


def test_a_program_runs_once_per_image_on_the_image_s_own_region():
    engine, values = interpreter(BEGIN, LOAD, STORE, END)
    assert [i.opcode for i in engine.program] == [i.opcode for i in (BEGIN, LOAD, STORE, END)]
    np.testing.assert_array_equal(engine.run().view("<i4"), values)


def test_tokens_are_stored_as_int16():
    """Tokens 3 and 4, in two groups, a word each, one behind the other."""
    operands = {"base": Base.OUTPUT, "source_address": 5, "token": 3, "row_words": 1}
    engine, _ = interpreter(BEGIN, END, images=1)
    engine.execute(Instruction(Opcode.STORE, operands | {"more_words": 1, "int16": 1}))
    expected = np.stack([engine.pads.residual[3, 5], engine.pads.residual[0, 6]])
    assert engine.result().tobytes() == expected.astype("<i2").tobytes()


def test_a_read_beyond_the_region_is_noticed():
    load = Instruction(Opcode.LOAD, LOAD.operands | {"bytes": 2 * SIZE})
    engine, _ = interpreter(BEGIN, load, END, images=1)
    with pytest.raises(AssertionError, match="reads beyond its region"):
        engine.execute(load)


def test_a_program_that_is_not_balanced_is_noticed():
    silent = Instruction(Opcode.STORE, STORE.operands, UnitSet.LOAD)
    with pytest.raises(AssertionError, match="not balanced"):
        interpreter(BEGIN, LOAD, silent, END, images=1)[0].run()


def test_semaphores_start_from_the_credits_and_go_down_and_up():
    semaphores = SemaphoreCounts(BEGIN)
    for _ in range(2):
        semaphores.lower(LOAD)
    assert not semaphores.available(LOAD) and not semaphores.balanced()
    with pytest.raises(AssertionError, match="waits for a signal that never comes"):
        semaphores.lower(LOAD)
    for _ in range(2):
        semaphores.raise_(STORE)
    assert semaphores.balanced()
    with pytest.raises(AssertionError, match="raises a semaphore too high"):
        for _ in range(256):
            semaphores.raise_(STORE)
