"""Whole networks on the simulated engine, every write compared with the golden model."""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtl import config
from rtl.board import Board
from rtl.compiler import Compiled, compile_model
from rtl.config import EngineConfig
from rtl.errors import ToolError
from rtl.model import IntegerModel
from rtl.model.keep import original_tokens
from sim import golden, testbench, timeline
from sim.check import check_writes
from sim.timeline import Timeline
from sim.toolchain.simulation import Build, SimulationResults

PAGE = 4096
LIMIT_CYCLES = 50_000_000
POLL_SECONDS = 0.2
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EngineRun:
    """Images that the engine has run, and what the golden model says of it.

    Parameters
    ----------
    output : (images, classes) or (images, tokens, width) int32
        Logits, or the residual words of the tokens, as the model says.
    cycles : tuple of int
        Cycles of each image, from the end of the one before to its own; the first one's from the
        start.
    indices : (images, tokens) int32 or None
        Index in the image of each token of ``output``, where it has them.
    wrong_instructions, wrong_outputs : int
        Instructions, of all images, that wrote another word than the golden model; values of
        ``output`` that differ from its.
    first_mismatch : str or None
        Image, tensor, token and row of the first difference.
    words : int
        How many words were compared.
    counters : dict
        Cycles of the whole run in which each unit was busy, starved or waiting.
    wall_s, build_s : float
        Seconds that the simulation and its build took.
    timeline : Timeline or None
        When each instruction ran, if writes were compared.
    """

    output: np.ndarray
    cycles: tuple[int, ...]
    indices: np.ndarray | None = None
    wrong_instructions: int = 0
    wrong_outputs: int = 0
    first_mismatch: str | None = None
    words: int = 0
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    wall_s: float = 0.0
    build_s: float = 0.0
    timeline: Timeline | None = None

    @property
    def exact(self) -> bool:
        """True if all that was compared is equal."""
        return not (self.wrong_instructions or self.wrong_outputs)

    @property
    def cycles_per_image(self) -> float | None:
        """Mean cycles from one image's end to the next one's; None for less than three images."""
        return float(np.mean(self.cycles[1:])) if len(self.cycles) > 2 else None


def engine_of(board: Board) -> EngineConfig:
    """Return the board's default engine."""
    return config.engine(board.engine)


def run(
    model: IntegerModel,
    images: np.ndarray,
    board: Board,
    *,
    engine: EngineConfig | None = None,
    check: bool = True,
    settings: Mapping[str, int] | None = None,
    registers: Mapping[str, int] | None = None,
    corrupt: Callable[[bytearray], None] | None = None,
    progress: Progress | None = None,
    hostile: bool | None = None,
    build: Build | None = None,
) -> EngineRun:
    """Run images on the engine in Verilator, in one run: they overlap.

    Parameters
    ----------
    model : IntegerModel
    images : (images, height, width, channels) uint8
    board : Board
        Memory latency and bandwidth; and the engine, unless ``engine`` is given.
    check : bool
        Compare every scratchpad write with the golden model, not only the output.
    settings : dict of str to int, optional
        Settings of the memory (sim/hardware/memory.sv) in place of the board's: ``latency``,
        ``bytes_per_cycle``, ``stall``, ``seed``, ``error_address``.
    registers : dict of str to int, optional
        Registers to write before the start, beyond the usual ones.
    corrupt : callable, optional
        Changes the memory before the run: how tests inject faults.
    progress : callable, optional
        Called with how many images are done, and of how many.
    hostile : bool, optional
        Memories as bad as a device's may be: :func:`rtl.build.verilog.emit_verilog`.
    build : Build, optional
        A system with the engine in it (:mod:`sim.tops`), with taps if writes are compared; by
        default the engine alone, with a memory as wide as its port.

    Raises
    ------
    UserError
        If the engine cannot run the model.
    ToolError
        If the engine stops with a fault; names code, unit and instruction, and how many images
        were done.
    """
    engine = engine or engine_of(board)
    compiled = compile_model(model, engine)
    started = time.monotonic()
    build = build or testbench.build(engine, tap=check, hostile=hostile)
    built = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pulsar-network-") as name:
        job = SimulationJob(compiled, images, board, engine, Path(name))
        job.write(settings or {}, registers or {}, corrupt)
        result = job.simulate(build, check, progress)
        regions = job.regions()
        run = EngineRun(
            compiled.output(regions),
            tuple(np.diff(result["done"], prepend=0).tolist()),
            compiled.indices(regions),
            counters=result["counters"],
            wall_s=time.monotonic() - built,
            build_s=built - started,
        )
        return _checked(run, job) if check else _compare_output(run, model, images)


def _compare_output(run: EngineRun, model: IntegerModel, images: np.ndarray) -> EngineRun:
    tensors: dict[str, np.ndarray] = {}
    expected = golden.run(model, images, tensors=tensors if run.indices is not None else None)
    pairs = [(model.output_tensor, expected, run.output)]
    if run.indices is not None:
        indices = original_tokens(tensors, model.shape, len(model.blocks))
        pairs.append(("tokens", indices, run.indices))
    wrong = [(name, place) for name, *both in pairs for place in np.argwhere(np.not_equal(*both))]
    first = None
    if wrong:
        name, (image, *place) = wrong[0][0], wrong[0][1].tolist()
        first = f"image {image}: {name}{place}"
    return replace(
        run,
        wrong_outputs=len(wrong),
        first_mismatch=run.first_mismatch or first,
        words=run.words + sum(each.size for _, each, _ in pairs),
    )


def _checked(run: EngineRun, job: "SimulationJob") -> EngineRun:
    """Compare taps and output with golden, image by image."""
    tensors: dict[str, np.ndarray] = {}
    golden.run(job.compiled.model, job.images, tensors=tensors)
    writes = check_writes(job.compiled, tensors, job.taps, len(job.images))
    run = replace(
        run,
        wrong_instructions=writes.wrong_instructions,
        first_mismatch=writes.first_mismatch,
        words=writes.words,
        timeline=timeline.read(job.compiled.program, job.taps),
    )
    return _compare_output(run, job.compiled.model, job.images)


class SimulationJob:
    """The files of one simulation: memory before and after, job, result, taps.

    The memory holds the MODEL region, then the images, then their outputs, each page-aligned.
    """

    def __init__(
        self,
        compiled: Compiled,
        images: np.ndarray,
        board: Board,
        engine: EngineConfig,
        folder: Path,
    ):
        self.compiled = compiled
        self.images = images
        self.board = board
        self.folder = folder
        self.taps = folder / "taps"
        self.image_bytes = int(np.prod(images.shape[1:]))
        self.image_stride = _round_up(self.image_bytes, PAGE)
        self.output_bytes = compiled.memory.output_bytes
        self.output_stride = _round_up(self.output_bytes, PAGE)
        self.images_at = _round_up(len(compiled.region), PAGE)
        self.outputs_at = self.images_at + len(images) * self.image_stride
        self.bytes = self.outputs_at + len(images) * self.output_stride

    def write(
        self,
        settings: Mapping[str, int] | None = None,
        registers: Mapping[str, int] | None = None,
        corrupt: Callable[[bytearray], None] | None = None,
    ) -> None:
        """Write the memory's content and the job for the bench; arguments as of :func:`run`."""
        memory = bytearray(self.bytes)
        memory[: len(self.compiled.region)] = self.compiled.region
        for i, image in enumerate(self.images):
            address = self.images_at + i * self.image_stride
            memory[address : address + self.image_bytes] = np.ascontiguousarray(image).tobytes()
        if corrupt:
            corrupt(memory)
        (self.folder / "memory.bin").write_bytes(memory)
        job = self.description(settings or {}, registers or {})
        (self.folder / "job.json").write_text(json.dumps(job))
        self.taps.mkdir()

    def description(
        self, settings: Mapping[str, int], registers: Mapping[str, int]
    ) -> dict[str, Any]:
        """Return the job as a bench reads it."""
        memory = self.compiled.memory
        return {
            "memory": {
                "latency": self.board.memory.latency_cycles,
                "bytes_per_cycle": round(self.board.bytes_per_cycle() * 256),
                "stall": 0,
                "seed": 1,
                "error_address": (1 << 40) - 1,
                "tap_enable": 1,
                **settings,
            },
            "registers": {
                "program_address": memory.program_offset,
                "program_bytes": len(self.compiled.code),
                "model_base": 0,
                "model_limit": len(self.compiled.region),
                "image_base": self.images_at,
                "image_limit": self.outputs_at,
                "image_stride": self.image_stride,
                "output_base": self.outputs_at,
                "output_limit": self.bytes,
                "output_stride": self.output_stride,
                "images": len(self.images),
                "irq_enable": 1,
                **registers,
            },
            "images": [
                [self.images_at + i * self.image_stride, self.outputs_at + i * self.output_stride]
                for i in range(len(self.images))
            ],
            "image_bytes": self.image_stride,
            "output_bytes": self.output_bytes,
            "limit_cycles": LIMIT_CYCLES,
        }

    def simulate(self, build: Build, check: bool, progress: Progress | None) -> dict[str, Any]:
        """Run the bench; return cycles from the start to each image's end, and counters."""
        with self._reporting(progress):
            self.start(build, "sim.benches.network", check)
        result = json.loads((self.folder / "result.json").read_text())
        if error := result["error"]:
            raise ToolError(f"the engine stopped after {len(result['done'])} images: {error}")
        return result

    @contextmanager
    def _reporting(self, progress: Progress | None) -> Iterator[None]:
        """Call ``progress`` as the bench, in another process, finishes images."""
        ended = threading.Event()
        file = self.folder / "images_done"

        def watch() -> None:
            last = 0
            while progress and last < len(self.images):
                over = ended.wait(POLL_SECONDS)
                text = file.read_text() if file.is_file() else ""
                if text and int(text) > last:
                    last = int(text)
                    progress(last, len(self.images))
                if over:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def start(self, build: Build, bench: str, tap: bool) -> SimulationResults:
        """Simulate a bench with this job's memory; a build with trace leaves ``dump.vcd``."""
        plusargs = [
            f"+memory={self.folder / 'memory.bin'}",
            f"+memory_bytes={self.bytes}",
        ]
        return build.run(
            bench,
            env={"PULSAR_JOB": str(self.folder / "job.json")},
            plusargs=plusargs + ([f"+tap={self.taps}"] if tap else []),
            directory=self.folder,
            trace=build.trace,
        )

    def output(self) -> np.ndarray:
        """Return the logits or tokens of all images from the memory after the run."""
        return self.compiled.output(self.regions())

    def regions(self) -> np.ndarray:
        """Return the OUTPUT region of each image from the memory after the run."""
        memory = np.fromfile(self.folder / "memory.bin", np.uint8)
        return memory[self.outputs_at :].reshape(len(self.images), self.output_stride)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
