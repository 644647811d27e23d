"""The engine TINY in Icarus Verilog, which knows unknown values: a digit, and no X at a port."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from boards.host.pictures import prepare
from rtl.build.verilog import verilog_of
from rtl.compiler import compile_model
from rtl.config import TINY
from rtl.engine import Engine
from rtl.lib.emit import emit_rtlil
from sim import golden
from sim.random_model import random_model

pytestmark = [pytest.mark.silicon, pytest.mark.timeout(3600)]  # a hundred seconds on an idle core
DIGIT = Path(__file__).parents[2] / "examples" / "digit-7.png"
PAGE = 4096
LIMIT_CYCLES = 100_000
CYCLES = 1_000  # more than the reset and the registers take: most of them are of the network
VERILOG_2005 = "-g2005"
"""In later Verilog a variable has its first value before any process waits for a change, and what
Yosys writes for constants would never be computed. The last -g counts."""


def ports(signature):
    """List names of the engine's inputs and of its outputs."""
    names = {wiring.In: [], wiring.Out: []}
    for path, member, _ in signature.flatten(wiring.PureInterface(signature, path=("engine",))):
        names[member.flow].append("__".join(map(str, path)))
    return names[wiring.In], names[wiring.Out]


def aligned(count):
    return -(-count // PAGE) * PAGE


def job_of(compiled, image, signature, folder):
    """Write the memory's content and the job for the bench."""
    images_at = aligned(len(compiled.region))
    outputs_at = images_at + aligned(image.size)
    memory = bytearray(outputs_at + PAGE)
    memory[: len(compiled.region)] = compiled.region
    memory[images_at : images_at + image.size] = image.tobytes()
    (folder / "memory.bin").write_bytes(memory)
    inputs, outputs = ports(signature)
    job = {
        "memory": str(folder / "memory.bin"),
        "inputs": inputs,
        "outputs": outputs,
        "output": [outputs_at, compiled.memory.output_bytes],
        "limit_cycles": LIMIT_CYCLES,
        "registers": {
            "program_address": compiled.memory.program_offset,
            "program_bytes": len(compiled.code),
            "model_limit": len(compiled.region),
            "image_base": images_at,
            "image_limit": outputs_at,
            "image_stride": outputs_at - images_at,
            "output_base": outputs_at,
            "output_limit": outputs_at + PAGE,
            "output_stride": PAGE,
            "images": 1,
            "irq_enable": 1,
        },
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path


def simulate(verilog, job, folder):
    """Run the bench in Icarus; what it found."""
    assert shutil.which("iverilog"), "iverilog not found: sudo apt install iverilog"
    runner = get_runner("icarus")
    runner.build(
        sources=[verilog],
        hdl_toplevel="engine",
        build_dir=folder / "build",
        build_args=[VERILOG_2005],
        timescale=("1ns", "1ps"),
        log_file=folder / "build.log",
    )
    runner.test(
        hdl_toplevel="engine",
        hdl_toplevel_lang="verilog",
        test_module="tests.benches.defined_ports",
        extra_env={"PULSAR_JOB": str(job), "COCOTB_LOG_LEVEL": "WARNING"},
        build_dir=folder / "build",
        test_dir=folder,
        results_xml=str(folder / "results.xml"),
        log_file=folder / "simulation.log",
    )
    return json.loads((folder / "result.json").read_text())


def test_a_digit_without_an_unknown_value_at_a_port(tmp_path):
    model = random_model(patch=14, width=16, blocks=((1, 16),), classes=3)
    image = prepare(DIGIT, model.preprocessing, model.image)
    compiled = compile_model(model, TINY)
    engine, verilog = Engine(TINY, tap=False), tmp_path / "engine.v"
    verilog.write_text(verilog_of(emit_rtlil(engine, "engine"), assertions=False))
    result = simulate(verilog, job_of(compiled, image, engine.signature, tmp_path), tmp_path)
    region = np.frombuffer(bytes.fromhex(result["output"]), np.uint8)
    np.testing.assert_array_equal(
        compiled.output(region[None]), golden.run(model, image[None]), strict=True
    )
    assert set(result["status"]) == {"done", "irq"} and result["watched"] > result["cycles"]
    assert result["inside"] > 0, "nothing was unknown inside of the engine: this proves nothing"
    assert result["cycles"] > CYCLES and result["unknown"] == {}
