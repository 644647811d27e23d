# amaranth: UnusedElaboratable=no
"""The whole of a board but clock and pins: a network over two wires equals golden."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from boards.host.frames import first_period
from rtl.build.verilog import emit_verilog
from rtl.compiler import compile_model
from rtl.config import TINY
from rtl.errors import UserError
from rtl.isa.registers import IDENTITY
from rtl.soc.blocks import WORD_BYTES
from rtl.soc.memory import LEAST_WORDS, BlockMemory
from rtl.soc.system import SerialSystem
from rtl.timing import MemoryTiming, simulate
from rtl.timing.latencies import unit_latencies
from sim import golden
from sim.random_model import random_images, random_model
from sim.testbench import WAIVERS
from sim.toolchain.builder import build
from tests.benches.serial_pins import PERIOD

CLOCK_HZ = 115_200 * PERIOD
WORDS = 4 * LEAST_WORDS
IMAGE, IMAGES = (14, 14, 1), 2


def aligned(value, to=256):
    return -(-value // to) * to


@pytest.mark.sim
def test_a_network_over_two_wires_equals_golden(tmp_path):
    engine = replace(TINY, memory_bytes=WORD_BYTES)
    assert first_period(CLOCK_HZ) == PERIOD
    model = random_model(
        image=IMAGE, patch=7, width=16, blocks=[(1, 16)], head_dim=16, classes=10, seed=3
    )
    images = random_images(IMAGE, IMAGES, seed=4)
    compiled = compile_model(model, engine)
    region, stride = compiled.region, aligned(images[0].size)
    images_at = aligned(len(region))
    outputs_at = images_at + IMAGES * stride
    output_stride = aligned(compiled.memory.output_bytes)
    memory = bytearray(outputs_at)
    memory[: len(region)] = region
    for index, image in enumerate(images):
        start = images_at + index * stride
        memory[start : start + image.size] = image.tobytes()
    job = {
        "memory": str(tmp_path / "memory.bin"),
        "registers": {
            "program_address": compiled.memory.program_offset,
            "program_bytes": len(compiled.code),
            "model_limit": len(region),
            "image_base": images_at,
            "image_limit": outputs_at,
            "image_stride": stride,
            "output_base": outputs_at,
            "output_limit": outputs_at + IMAGES * output_stride,
            "output_stride": output_stride,
            "images": IMAGES,
        },
        "output": [outputs_at, IMAGES * output_stride],
    }
    (tmp_path / "memory.bin").write_bytes(memory)
    (tmp_path / "job.json").write_text(json.dumps(job))
    verilog = tmp_path / "system.v"
    verilog.write_text(emit_verilog(SerialSystem(engine, CLOCK_HZ, WORDS), "system"))
    simulation = build([WAIVERS, verilog], "system", arguments=["-Wall"], optimize="-O1")
    simulation.run(
        "tests.benches.serial_pins",
        env={"PULSAR_JOB": str(tmp_path / "job.json")},
        directory=tmp_path,
    )
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["identity"], result["engine"]) == (IDENTITY, engine.hash)
    assert result["checksum"] == zlib.crc32(memory)
    assert not result["error"]
    output = np.frombuffer(bytes.fromhex(result["output"]), np.uint8)
    logits = compiled.output(output.reshape(IMAGES, output_stride))
    assert np.array_equal(logits, golden.run(model, images))
    timing = MemoryTiming(WORD_BYTES, BlockMemory.LATENCY)
    predicted = simulate(compiled.program, timing, unit_latencies(engine), IMAGES)
    # This memory is up to 5 % faster than one that the model knows, and never slower.
    assert 0.95 * predicted.cycles <= result["cycles_first"] <= predicted.cycles


def test_a_port_wider_than_the_memory_is_refused():
    message = "engine 'tiny': memory_bytes must be at most 8 where the memory is on the chip"
    with pytest.raises(UserError, match=message):
        SerialSystem(TINY, CLOCK_HZ, WORDS)
