"""The measurements of a calibration: networks on the simulated RTL, engines in Yosys.

Their functions run in worker processes; arguments can be pickled, results are JSON values. A
measurement is kept under what decides it: the text of the engine's Verilog and of the simulated
memory, the network's program, and the versions of the tools. Source code does not matter.
"""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from nas.cost.kept import Json, KeptResults
from nas.cost.module_cells import measure
from nas.cost.records import predicted
from nas.cost.subnets import Sample
from nas.cost.sweep import Measurement
from rtl.board import Board
from rtl.build.synthesis import Utilization, family_of
from rtl.config import EngineConfig
from rtl.engine import Engine
from rtl.errors import ToolError
from rtl.files import sha256_of
from rtl.lib.devices import primitives_of
from rtl.lib.emit import emit_rtlil
from sim import runner, testbench
from sim.calibration import instruction_times, model_of
from sim.random_model import random_images
from sim.toolchain.tools import find_verilator

TOP = "engine"  # name of all engines: a module's text holds the name of the design
MEMORY = ("memory.sv", "memory.cpp")  # the simulated memory, under sim/hardware


# ------------------------------------------------------------ cycles


def verilog_hash(engine: EngineConfig, *, tap: bool = False) -> str:
    """Return the hash of an engine's Verilog as it is simulated, 16 digits."""
    return sha256_of(testbench.generate(engine, tap=tap)[0])[:16]


def simulation_hash(engine: EngineConfig, *, tap: bool) -> str:
    """Return the hash of all that decides the cycles of a program: 16 digits.

    That is the Verilog of the engine and of its testbench, the simulated memory, and the versions
    of Verilator and cocotb.
    """
    sources = [
        *testbench.generate(engine, tap=tap),
        *(testbench.HARDWARE / name for name in MEMORY),
    ]
    versions = find_verilator().version, importlib.metadata.version("cocotb")
    return sha256_of(*versions, *sources)[:16]


def rtl_points(
    kind: str, samples: Sequence[Sample], board: Board, engine: EngineConfig
) -> list[Measurement]:
    """Return measurements of networks on the RTL, one per network.

    Parameters
    ----------
    kind : str
        ``network``: cycles of one image. ``speed``: the same for networks whose seconds count,
        because nothing runs beside them. ``writes``: the last write of each instruction.
    samples : sequence of Sample
    board : Board
    engine : EngineConfig
    """
    tap = kind == "writes"
    simulation = simulation_hash(engine, tap=tap)
    return [
        Measurement(
            measure_writes if tap else measure_network,
            (sample, board, engine),
            [kind, asdict(sample), simulation, predicted(sample, engine)[0]],
        )
        for sample in samples
    ]


def measure_network(sample: Sample, board: Board, engine: EngineConfig) -> Json:
    """Simulate a network with random weights, and compare its logits with the golden model's.

    Returns
    -------
    dict
        ``cycles`` of the image, ``seconds`` that its simulation took.

    Raises
    ------
    ToolError
        If the logits differ.
    """
    model = model_of(sample.shape, engine.act_bits)
    run = runner.run(
        model,
        random_images(sample.shape.image, 1),
        board,
        engine=engine,
        check=False,
        settings=_settings(sample),
    )
    if not run.exact:
        raise ToolError(f"the engine differs from the golden model: {run.first_mismatch}")
    return {"cycles": run.cycles[0], "seconds": round(run.wall_s, 2)}


def measure_writes(sample: Sample, board: Board, engine: EngineConfig) -> Json:
    """Return the cycle of the last write of each instruction; None where there is none."""
    model = model_of(sample.shape, engine.act_bits)
    last = instruction_times(model, board, engine=engine, settings=_settings(sample)).last
    return [None if np.isnan(cycle) else float(cycle) for cycle in last]


def _settings(sample: Sample) -> dict[str, int]:
    """Return the settings of the simulated memory (sim/hardware/memory.sv)."""
    return {
        "latency": sample.memory.latency_cycles,
        "bytes_per_cycle": round(sample.memory.bytes_per_cycle * 256),
    }


# ------------------------------------------------------------ resources


def engine_points(board: Board, engines: Sequence[EngineConfig], cells: Path) -> list[Measurement]:
    """Return measurements of the resources of engines on a board's device.

    Parameters
    ----------
    board : Board
    engines : sequence of EngineConfig
    cells : Path
        File of the modules that were synthesised before.
    """
    family = family_of(board.device)
    return [
        Measurement(
            measure_resources, (engine, board.device, cells), ["engine", engine.to_json(), family]
        )
        for engine in engines
    ]


def measure_resources(engine: EngineConfig, device: str, cells: Path) -> Json:
    """Count the cells of an engine with Yosys; :func:`utilization` reads the result.

    LUTs may differ by a few from those of ``python -m rtl.build``: where Yosys has a choice, it
    goes by the order of names.
    """
    rtlil = emit_rtlil(Engine(engine), TOP, primitives_of(device))
    return asdict(measure(rtlil, TOP, device, KeptResults(cells)))


def utilization(value: Json) -> Utilization:
    """Read the JSON value of :func:`measure_resources`."""
    return TypeAdapter(Utilization).validate_python(value)
