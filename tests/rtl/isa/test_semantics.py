"""The interpreter's programs, regions and semaphores.

That instructions compute what golden does is shown by whole networks
(tests/rtl/compiler/test_programs.py), that the matmul unit does the same by tests/rtl/matmul.
"""

from dataclasses import replace

import numpy as np
import pytest

from rtl.config import TINY
from rtl.isa.instructions import (
    Base,
    Destination,
    Format,
    Instruction,
    Opcode,
    Target,
    UnitSet,
)
from rtl.isa.scratchpads import Scratchpads, parameter_records
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


SELECTING = replace(TINY, name="selecting", select_tokens=256)
HEAD = {"keys": 20, "key_words": 2, "multiplier": 3000, "shift": 20, "context_multiplier": 32768}


def test_tokens_are_selected_and_moved():
    """Two heads' importance, the largest of it, and a projection in two blocks of weights."""
    pads = Scratchpads(SELECTING, 3)
    engine, rng = Interpreter(pads, golden), np.random.default_rng(5)
    scores = rng.integers(-3000, 3000, (2, 3, 32))
    patches, keep, width = 17, 6, 3
    for head in range(2):
        pads.scores[[1, 2, 3], head * 2 : head * 2 + 2] = scores[head].reshape(3, 2, 16)
        pads.maxima[head, 1:4] = scores[head, :, :20].max(-1)
        lanes = {"lane_first": 1, "lane_count": 3, "source_address": 2 * head, "slot": head}
        flags = {"importance": 1, "importance_first": head == 0}
        engine.execute(Instruction(Opcode.SOFTMAX, HEAD | lanes | flags))
    own = scores[:, -1, :20]
    e = golden.softmax_weights(own, 3000, 20, TINY.act_bits)
    terms = golden.importance_terms(own, 3000, 20, TINY.act_bits, e.sum(-1, keepdims=True))
    np.testing.assert_array_equal(pads.importance[:20], terms.sum(0))

    operands = {"patches": patches, "keep": keep, "others": 3, "stride": width}
    engine.execute(Instruction(Opcode.SELECT, operands))
    order = sorted(range(patches), key=lambda key: (-terms.sum(0)[key], key))[:keep]
    kept = [*sorted(order), 17, 18, 19]
    assert [pads.places[t] for t in kept] == list(range(keep + 3))
    assert (pads.places[:20] >= 0).sum() == keep + 3

    base = pads.residual[:, 10 : 10 + 5 * width].reshape(4, 5, width, 16)
    before = base.swapaxes(0, 1).reshape(20, width, 16).copy()
    sums = rng.integers(-(1 << 15), 1 << 15, (20, width, 16))
    for first, count in ((0, 2), (2, 1)):
        for token in range(0, 20, 4):
            operands = {
                "destination": Destination.KEPT,
                "format": Format.INT16,
                "accumulate": 1,
                "row_tiles": count,
                "destination_address": 10 + first + width * (token // 4),
                "destination_stride": width,
                "token": token,
                "lane_count": 4,
            }
            pads.parameters[:count] = parameter_records(np.array(0), np.array(1), np.array(1))
            part = 2 * sums[token : token + 4, first : first + count].swapaxes(0, 1)
            engine.finish(Instruction(Opcode.MATMUL, operands), part)
    after = base.swapaxes(0, 1).reshape(20, width, 16)
    expected = golden.add_residual(before[kept], sums[kept], 0)
    np.testing.assert_array_equal(after[: keep + 3], expected)
