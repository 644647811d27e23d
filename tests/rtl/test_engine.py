"""The whole engine in Verilator: equal to golden in every word, and what happens when it is not.

Networks are small but odd; sizes, stalls and faults are the point.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rtl import config
from rtl.board import load_board
from rtl.compiler import compile_model
from rtl.errors import ToolError, UserError
from rtl.isa.instructions import INSTRUCTION_BYTES, Instruction, Opcode, UnitSet, seal
from rtl.lib.devices import Primitives
from rtl.model import IntegerModel
from sim import golden, runner, testbench
from sim.random_model import random_images, random_model
from tests.sim.misuse import check_misuse

pytestmark = pytest.mark.sim
SIM = load_board("sim")
SMALL: dict[str, Any] = {
    "image": (28, 28, 1),
    "patch": 7,
    "width": 32,
    "blocks": [(2, 64), (2, 48)],
    "seed": 5,
}


def make(**changes: Any) -> IntegerModel:
    sizes: dict[str, Any] = {**SMALL, "head_dim": 16, "classes": 10, **changes}
    return random_model(**sizes)


@pytest.fixture(scope="module")
def small():
    return make()


NETWORKS = {
    "digits": {"width": 64, "blocks": [(4, 256)] * 3 + [(2, 128)], "bits8_fraction": 0.5},
    "197 tokens": {"image": (224, 224, 3), "patch": 16, "width": 48, "blocks": [(3, 96)] * 2},
    "50 tokens, odd sizes": {
        "image": (98, 98, 1),
        "patch": 14,
        "width": 40,
        "head_dim": 24,
        "blocks": [(1, 56), (3, 104)],
        "classes": 19,
    },
    "two heads in a row tile": {"head_dim": 8, "blocks": [(3, 40), (4, 64)], "bits8_fraction": 1.0},
    "mean": {"pool": "mean"},
    "mean of 17 tokens, channels in two groups": {
        "width": 528,
        "blocks": [(1, 16)],
        "pool": "mean",
        "seed": 6,
    },
    "mean of 196 patches, no class token": {
        "image": (224, 224, 3),
        "patch": 16,
        "width": 40,
        "blocks": [(3, 96)] * 2,
        "pool": "mean",
        "class_token": False,
    },
    "mean of 197 tokens": {
        "image": (224, 224, 3),
        "patch": 16,
        "width": 40,
        "head_dim": 24,
        "blocks": [(1, 56)],
        "pool": "mean",
    },
    "tokens": {"output": "tokens", "pool": "all"},
    "196 tokens, odd sizes": {
        "image": (224, 224, 3),
        "patch": 16,
        "width": 40,
        "head_dim": 24,
        "blocks": [(1, 56)],
        "output": "tokens",
        "pool": "mean",
        "class_token": False,
    },
    "registers in tiles of their own, two tables in some blocks": {
        "registers": 10,
        "blocks": [(2, 64), (1, 16), (2, 48), (1, 96)],
        "two_tables": True,
        "output": "tokens",
    },
    "registers and the mean": {"registers": 6, "pool": "mean", "two_tables": True},
    "5,000 classes": {"classes": 5000},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_word_is_golden(name):
    model = make(**NETWORKS[name])
    images = random_images(model.image, 1 if model.tokens > 100 else 3, seed=7)

    run = runner.run(model, images, SIM)

    assert run.exact, run.first_mismatch
    assert run.words > 1000
    assert np.array_equal(run.output, golden.run(model, images))
    assert all(cycles < run.cycles[0] for cycles in run.cycles[1:])  # they overlap


@pytest.mark.parametrize("name", ["digits", "50 tokens, odd sizes", "tokens"])
def test_memories_as_bad_as_a_device_s_change_nothing(name):
    """Scratchpads start with anything; a read that collides with a write gives its inverse."""
    model = make(**NETWORKS[name])
    images = random_images(model.image, 3, seed=7)
    run = runner.run(model, images, SIM, hostile=True)
    assert run.exact, run.first_mismatch
    assert run.cycles == runner.run(model, images, SIM).cycles


NARROW = replace(config.TINY, name="narrow", softmax_parts=2, norm_parts=2)


@pytest.mark.parametrize("name", ["digits", "50 tokens, odd sizes"])
def test_words_in_parts_are_golden_and_take_longer(name):
    """Softmax and LayerNorm with half the lanes."""
    model = make(**NETWORKS[name])
    images = random_images(model.image, 3, seed=7)

    whole = runner.run(model, images, SIM, check=False)
    run = runner.run(model, images, SIM, engine=NARROW)

    assert run.exact, run.first_mismatch
    assert np.array_equal(run.output, golden.run(model, images))
    assert sum(run.cycles) > sum(whole.cycles)


ULTRA = replace(config.TINY, name="ultra", uram=config.SCRATCHPADS)


@pytest.mark.parametrize(
    "kind",
    [
        {"hostile": True},
        pytest.param({"primitives": Primitives.ULTRASCALE}, marks=pytest.mark.zcu102),
    ],
)
def test_scratchpads_in_ultraram_are_golden_in_as_many_cycles(kind):
    """All of them; the models of UltraRAM start with anything and invert what collides."""
    build = testbench.build(ULTRA, **kind)
    model = make(**NETWORKS["digits"])
    images = random_images(model.image, 3, seed=7)
    run = runner.run(model, images, SIM, engine=ULTRA, build=build)
    assert run.exact, run.first_mismatch
    assert np.array_equal(run.output, golden.run(model, images))
    assert run.cycles == runner.run(model, images, SIM).cycles


LANES = {"row_lanes": 8, "memory_bytes": 8}
SIZES = {
    "activation_words": 256,
    "pixel_words": 128,
    "key_words": 32,
    "value_words": 64,
    "score_words": 32,
    "score_slots": 3,
    "residual_words": 128,
    "weight_words": 256,
    "parameter_words": 64,
    "exponent_words": 16,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"act_bits": 4, "token_lanes": 2, "depth_lanes": 8},
        {"act_bits": 8, "token_lanes": 4, "depth_lanes": 4, "multiplier": "mult18x18"},
    ],
    ids=["act 4", "act 8 on 18 x 18 multipliers"],
)
@pytest.mark.parametrize(
    "output", [{}, {"pool": "mean"}, {"output": "tokens"}, {"keep": {0: 9}}], ids=str
)
def test_other_engines(changes, output):
    if "keep" in output:
        changes = changes | {"select_tokens": 256}
    engine = replace(config.TINY, name="other", **LANES, **SIZES, **changes)
    model = make(act_bits=engine.act_bits, row_granularity=8, bits8_fraction=0.5, **output)
    run = runner.run(model, random_images(model.image, 2, seed=3), SIM, engine=engine)
    assert run.exact, run.first_mismatch


SELECTING = {
    "two blocks in a row, registers": {"keep": {0: 10, 1: 3}, "registers": 3},
    "all of them, then one": {"keep": {0: 16, 1: 1}},
    "197 tokens": {"image": (224, 224, 3), "patch": 16, "width": 48, "keep": {0: 141, 1: 70}},
}


@pytest.mark.parametrize("name", SELECTING)
def test_tokens_that_stay_are_golden_s(name):
    """Every write: importance, places, and tokens where they go; on memories as bad as can be."""
    model = make(**{"blocks": [(2, 64), (2, 48), (1, 32)]} | SELECTING[name])
    images = random_images(model.image, 1 if model.tokens > 100 else 3, seed=7)
    run = runner.run(model, images, SIM, engine=config.TINY_SELECT, hostile=True)
    assert run.exact, run.first_mismatch
    assert np.array_equal(run.output, golden.run(model, images))


@pytest.mark.parametrize("stall", [40, 200])
@pytest.mark.parametrize("output", ["logits", "tokens"])
def test_random_stalls_of_memory_change_nothing_but_time(output, stall):
    model = make(output=output)
    images = random_images(model.image, 2, seed=8)
    free = runner.run(model, images, SIM)
    stalled = runner.run(model, images, SIM, settings={"stall": stall, "seed": 3 * stall})
    assert stalled.exact, stalled.first_mismatch
    assert sum(stalled.cycles) > sum(free.cycles)


def edit(opcode, index=0, **operands):
    """A corruption: the ``index``-th instruction of ``opcode`` gets other operands."""

    def corrupt(memory, start, count):
        found = 0
        for number in range(count):
            at = start + INSTRUCTION_BYTES * number
            instruction = Instruction.decode(bytes(memory[at : at + INSTRUCTION_BYTES]))
            if instruction.opcode is opcode:
                if found == index:
                    header = {k: operands.pop(k) for k in ("wait", "signal") if k in operands}
                    changed = Instruction(
                        opcode,
                        {**instruction.operands, **operands},
                        UnitSet(header.get("wait", instruction.wait)),
                        UnitSet(header.get("signal", instruction.signal)),
                    )
                    memory[at : at + INSTRUCTION_BYTES] = changed.encode()
                    return
                found += 1
        raise AssertionError(f"there is no {opcode.name} number {index}")

    return corrupt


def run_corrupted(model, corruption, images=1, **options):
    compiled = compile_model(model, config.engine(SIM.engine))
    start, count = compiled.memory.program_offset, len(compiled.program.operations)
    pixels = random_images(model.image, images, seed=9)

    def corrupt(memory):
        """Change the program, and make its checksum right again."""
        corruption(memory, start, count)
        end = start + INSTRUCTION_BYTES * count
        memory[start:end] = seal(bytes(memory[start:end]))

    return runner.run(model, pixels, SIM, corrupt=corrupt, **options)


FAULTY = {
    "load": (edit(Opcode.LOAD, 0, offset=64), "parameters"),
    "matmul": (edit(Opcode.MATMUL, 0, residual_shift=9), "embed"),
    "norm": (edit(Opcode.NORM, 0, gain=33000), "blocks.0.norm1"),
    "softmax": (edit(Opcode.SOFTMAX, 0, shift=3), "blocks.0.attention"),
    "store": (edit(Opcode.STORE, 0, source_address=0), "logits"),
}


@pytest.mark.parametrize("unit", FAULTY)
def test_a_fault_in_a_unit_is_reported_at_its_tensor(small, unit):
    corruption, tensor = FAULTY[unit]
    run = run_corrupted(small, corruption)
    assert not run.exact and run.first_mismatch  # of a STORE the logits alone can be wrong
    assert run.first_mismatch.startswith("image 0: ")
    assert tensor in run.first_mismatch


def flip_bytes(memory, start, count):
    """One flipped bit in every 512 bytes of the constants."""
    for address in range(0, start, 512):
        memory[address] ^= 1


def test_flipped_bits_in_memory_are_seen_where_they_are_loaded(small):
    run = run_corrupted(small, flip_bytes)
    assert run.wrong_instructions > 0


def test_an_unknown_opcode_stops_the_engine(small):
    def corrupt(memory, start, count):
        memory[start + 3 * INSTRUCTION_BYTES] = 0x0F

    with pytest.raises(ToolError, match="fault OPCODE in fetch, instruction 3"):
        run_corrupted(small, corrupt)


def test_a_program_for_another_engine_is_refused(small):
    def corrupt(memory, start, count):
        begin = Instruction.decode(bytes(memory[start : start + INSTRUCTION_BYTES]))
        other = Instruction(Opcode.BEGIN, begin.operands | {"engine": 1234})
        memory[start : start + INSTRUCTION_BYTES] = other.encode()

    with pytest.raises(ToolError, match="fault ENGINE in fetch, instruction 0"):
        run_corrupted(small, corrupt)


def test_a_deadlock_ends_in_the_watchdog(small):
    corruption = edit(Opcode.STORE, 0, wait=int(UnitSet.SOFTMAX))
    with pytest.raises(ToolError, match="fault WATCHDOG"):
        run_corrupted(small, corruption, registers={"watchdog_cycles": 3000})


def test_an_unbalanced_program_is_a_fault(small):
    corruption = edit(Opcode.SOFTMAX, 0, signal=int(UnitSet.MATMUL | UnitSet.STORE))
    with pytest.raises(ToolError, match="fault SEMAPHORE"):
        run_corrupted(small, corruption)


def test_a_scratchpad_address_outside_is_a_fault(small):
    with pytest.raises(ToolError, match="fault ADDRESS in norm"):
        run_corrupted(small, edit(Opcode.NORM, 0, destination_address=60_000))


def test_a_host_s_mistakes(small, tmp_path):
    check_misuse(small, SIM, tmp_path)


def test_a_network_larger_than_the_engine_is_refused():
    model = make(width=256, image=(224, 224, 1), patch=14)
    with pytest.raises(UserError, match=r"1,040 needed, 512 available.*residual_words"):
        runner.run(model, np.zeros((1, 224, 224, 1), np.uint8), SIM)
