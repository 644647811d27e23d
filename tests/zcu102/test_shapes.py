"""Networks of many shapes on the ZCU102 engine in Verilator, every word compared with golden.

The engine's first build takes minutes: ``nox -s zcu102`` runs these tests, nothing else does.
"""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rtl import config
from rtl.board import load_board
from rtl.compiler import compile_model
from rtl.errors import ToolError, UserError
from rtl.model import IntegerModel
from sim import golden, runner, workloads
from sim.random_model import random_model
from tests.sim.misuse import check_misuse

pytestmark = pytest.mark.zcu102
BOARD = load_board("zcu102")


def make(engine: config.EngineConfig = config.ZCU102, **changes: Any) -> IntegerModel:
    """A network of two blocks; sizes that are not given are DeiT-T's."""
    shape: dict[str, Any] = {
        "image": (224, 224, 3),
        "patch": 16,
        "width": 192,
        "head_dim": 64,
        "blocks": [(3, 768)] * 2,
        "classes": 1000,
        "bits8_fraction": 0.25,
        "seed": 1,
        **changes,
    }
    return random_model(act_bits=engine.act_bits, row_granularity=engine.row_lanes, **shape)


SHAPES: dict[str, dict[str, Any]] = {
    "50 tokens": {"patch": 32},
    "257 tokens": {"patch": 14},
    "577 tokens, width 192": {"image": (384, 384, 3), "blocks": [(3, 768)]},
    "577 tokens, width 384": {"image": (384, 384, 3), "width": 384, "blocks": [(6, 1536)]},
    "width 224": {"width": 224, "head_dim": 32, "blocks": [(7, 896)] * 2},
    "width 320": {"width": 320, "blocks": [(5, 1280)] * 2},
    "width 448": {"width": 448, "blocks": [(7, 1792)] * 2},
    "depth 1, heads of 32": {"head_dim": 32, "blocks": [(6, 768)]},
    "depth 16": {"image": (96, 96, 3), "blocks": [(3, 768)] * 16},
    "one head, 10 classes": {"blocks": [(1, 768)] * 2, "classes": 10},
    "digits": {"image": (28, 28, 1), "patch": 7, "width": 64, "blocks": [(1, 256)] * 3},
    "96 pixels, 1 channel": {"image": (96, 96, 1)},
    "384 pixels, 1 channel, patch 32": {"image": (384, 384, 1), "patch": 32},
    "mean pooling": {"pool": "mean"},
    "mean pooling, 384 wide, no class token": {
        "width": 384,
        "blocks": [(6, 1536)],
        "pool": "mean",
        "class_token": False,
    },
    "28 pixels, 3 channels, patch 7": {"image": (28, 28, 3), "patch": 7},
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_word_is_golden(name):
    model = make(**SHAPES[name])
    images = workloads.photographs(model, 2)

    run = runner.run(model, images, BOARD)

    assert run.exact, run.first_mismatch
    assert np.array_equal(run.output, golden.run(model, images))


@pytest.mark.parametrize("engine", [config.ZCU102_A4, config.ZCU102_A8], ids=lambda e: e.name)
def test_other_activation_bits(engine):
    model = make(engine, blocks=[(3, 768)])
    run = runner.run(model, workloads.photographs(model, 2), BOARD, engine=engine)
    assert run.exact, run.first_mismatch


def test_random_stalls_change_nothing_but_time():
    model = make()
    images = workloads.photographs(model, 2)
    free = runner.run(model, images, BOARD)
    stalled = runner.run(model, images, BOARD, settings={"stall": 60, "seed": 11})
    assert stalled.exact, stalled.first_mismatch
    assert sum(stalled.cycles) > sum(free.cycles)


def test_a_host_s_mistakes(tmp_path):
    """Among them: a second start, resets in mid-network, a program of another length."""
    check_misuse(make(image=(64, 64, 3), blocks=[(3, 768)]), BOARD, tmp_path)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("region", "fault"), [("model", "READ"), ("image", "READ"), ("output", "WRITE")]
)
def test_a_memory_error_at_a_random_beat_stops_the_engine(region, fault, seed, tmp_path):
    """MODEL holds instructions, weights, tables: all of it is read, all of OUTPUT is written."""
    model = make()
    images = workloads.photographs(model, 1)
    job = runner.SimulationJob(
        compile_model(model, config.ZCU102), images, BOARD, config.ZCU102, tmp_path
    )
    start, size = {
        "model": (0, len(job.compiled.region)),
        "image": (job.images_at, job.image_bytes),
        "output": (job.outputs_at, job.output_bytes),
    }[region]
    settings = {"error_address": start + random.Random(seed).randrange(size)}
    with pytest.raises(ToolError, match=f"stopped after 0 images: fault {fault} in"):
        runner.run(model, images, BOARD, settings=settings)


REFUSED = {
    "577 tokens, width 768": (
        {"image": (384, 384, 3), "width": 768, "blocks": [(12, 3072)]},
        "residual stream of 577 tokens, width 768: 3,480 needed, 2,048 available,"
        " 1,432 too many (engine 'zcu102' residual_words)",
    ),
    "785 tokens, width 384": (
        {"image": (448, 448, 3), "width": 384, "blocks": [(6, 96)]},
        "residual stream of 785 tokens, width 384: 2,364 needed, 2,048 available,"
        " 316 too many (engine 'zcu102' residual_words)",
    ),
    "heads of 256 dimensions": (
        {"patch": 14, "width": 256, "head_dim": 256, "blocks": [(1, 64)]},
        "blocks.0 keys of 257 tokens: 72 needed, 64 available, 8 too many",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(name):
    changes, message = REFUSED[name]
    with pytest.raises(UserError) as error:
        compile_model(make(**changes), config.ZCU102)
    assert message in str(error.value)


def test_a_program_of_another_engine_is_refused():
    model = make(blocks=[(1, 64)])
    other = replace(config.ZCU102, weight_words=2048)
    region = compile_model(model, other).region

    def other_program(memory: bytearray) -> None:
        memory[: len(region)] = region

    assert len(region) == len(compile_model(model, config.ZCU102).region)
    with pytest.raises(ToolError, match="stopped after 0 images: fault ENGINE"):
        runner.run(model, workloads.photographs(model, 1), BOARD, corrupt=other_program)
