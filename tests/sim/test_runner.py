"""The memory of a run, and how a run is compared with the golden model; nothing is simulated."""

import json
from pathlib import Path

import numpy as np
import pytest

from rtl.board import load_board
from rtl.compiler import compile_model
from rtl.config import TINY
from rtl.model import IntegerModel
from sim import golden, runner
from sim.random_model import random_images, random_model

DIGITS = Path(__file__).parents[2] / "examples" / "digits.pulsar"
BOARD = load_board("sim")


@pytest.fixture(scope="module")
def model():
    return IntegerModel.load(DIGITS)


@pytest.fixture
def job(model, tmp_path):
    images = random_images(model.image, 3)
    return runner.SimulationJob(compile_model(model, TINY), images, BOARD, TINY, tmp_path)


def test_memory_holds_the_model_then_the_images_then_room_for_their_outputs(job, tmp_path):
    job.write()
    memory = (tmp_path / "memory.bin").read_bytes()
    assert memory.startswith(job.compiled.region)
    description = json.loads((tmp_path / "job.json").read_text())
    registers = description["registers"]
    for (image_at, output_at), image in zip(description["images"], job.images, strict=True):
        assert image_at % runner.PAGE == output_at % runner.PAGE == 0
        assert memory[image_at:].startswith(image.tobytes())
        assert registers["image_base"] <= image_at < registers["image_limit"]
        assert registers["output_base"] <= output_at < registers["output_limit"]
    regions = ("model", "image", "output")
    limits = [registers[f"{name}_{end}"] for name in regions for end in ("base", "limit")]
    limits = [limits[0], *limits[2:]]  # between model and images lies what fills the page
    assert limits == sorted(limits) and limits[-1] == len(memory)
    assert registers["model_limit"] == len(job.compiled.region) <= registers["image_base"]


def test_settings_and_registers_replace_the_usual_ones_and_faults_come_last(job, tmp_path):
    def corrupt(memory):
        memory[0] ^= 1

    job.write({"latency": 7}, {"irq_enable": 0}, corrupt)
    description = json.loads((tmp_path / "job.json").read_text())
    assert description["memory"]["latency"] == 7
    assert description["memory"]["bytes_per_cycle"] == 16 * 256  # the board's
    assert (description["registers"]["irq_enable"], description["registers"]["images"]) == (0, 3)
    assert (tmp_path / "memory.bin").read_bytes()[0] == job.compiled.region[0] ^ 1


def test_logits_come_from_the_outputs(job, tmp_path):
    expected = np.arange(30, dtype=np.int32).reshape(3, 10) - 15
    memory = bytearray(job.bytes)
    for index, logits in enumerate(expected):
        at = job.outputs_at + index * job.output_stride
        memory[at : at + logits.nbytes] = logits.tobytes()
    (tmp_path / "memory.bin").write_bytes(memory)
    assert np.array_equal(job.output(), expected)


def test_tokens_come_from_the_outputs(tmp_path):
    """16 patches and a class token, 40 channels in words of 16."""
    model = random_model(width=40, blocks=((2, 64),), output="tokens")
    images = random_images(model.image, 2)
    job = runner.SimulationJob(compile_model(model, TINY), images, BOARD, TINY, tmp_path)
    assert job.output_bytes == 17 * 48 * 2
    expected = golden.run(model, images)
    memory = np.zeros(job.bytes, np.uint8)
    for index, tokens in enumerate(expected):
        at = job.outputs_at + index * job.output_stride
        padded = np.pad(tokens, ((0, 0), (0, 8)), constant_values=7).astype("<i2")
        memory[at : at + job.output_bytes] = padded.reshape(-1).view(np.uint8)
    (tmp_path / "memory.bin").write_bytes(memory.tobytes())
    assert np.array_equal(job.output(), expected)
    changed = expected.copy()
    changed[1, 16, 39] += 1
    wrong = runner._compare_output(runner.EngineRun(changed, (9, 9)), model, images)
    assert (wrong.wrong_outputs, wrong.first_mismatch) == (1, "image 1: blocks.0.output[16, 39]")


def test_wrong_values_are_counted_and_the_first_is_named(model):
    images = random_images(model.image, 2)
    logits = golden.run(model, images)
    exact = runner._compare_output(runner.EngineRun(logits, (9, 9), words=5), model, images)
    assert exact.exact and exact.first_mismatch is None
    assert exact.words == 5 + logits.size
    changed = logits.copy()
    changed[1, [3, 7]] += 1
    wrong = runner._compare_output(runner.EngineRun(changed, (9, 9)), model, images)
    assert (wrong.exact, wrong.wrong_outputs) == (False, 2)
    assert wrong.first_mismatch == "image 1: logits[3]"
    earlier = runner.EngineRun(changed, (9, 9), wrong_instructions=1, first_mismatch="image 0: q")
    assert runner._compare_output(earlier, model, images).first_mismatch == "image 0: q"
    assert not runner.EngineRun(logits, (9,), wrong_instructions=1).exact


@pytest.mark.parametrize(
    ("cycles", "per_image"), [((9,), None), ((9, 5), None), ((9, 4, 6), 5.0), ((9, 4, 5, 6), 5.0)]
)
def test_cycles_per_image_need_images_that_overlap(cycles, per_image):
    run = runner.EngineRun(np.zeros((len(cycles), 10), np.int32), cycles)
    assert run.cycles_per_image == per_image
