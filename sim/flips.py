"""``python -m sim.flips``: single bits of a program flipped in memory, and what the engine does.

A damaged program must end in a fault: a wrong result without one is an error of the engine.
"""

import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtl.board import load_board
from rtl.cli import OptionalPath, command
from rtl.compiler import Compiled, compile_model
from rtl.config import TINY
from rtl.console import print_tables, table
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_writable
from rtl.isa.faults import FaultCode
from sim import golden, runner, testbench
from sim.random_model import random_images, random_model

PROG = "python -m sim.flips"
SCHEMA = 1
WATCHDOG_CYCLES = 2000  # more than any instruction of this network takes
LIMIT_CYCLES = 200_000
PAGE = 4096


@dataclass(frozen=True)
class FlipOptions:
    """Flip single bits of a program in memory, and see whether the engine notices.

    A small network on the engine TINY in Verilator. Each run has one bit of one instruction
    flipped, chosen at random. Exit code 1 if a wrong result came without a fault.
    """

    flips: int = 2000
    """How many."""
    seed: int = 0
    """Which bits."""
    json: OptionalPath = None
    """Write the figures to this file as well."""


@dataclass(frozen=True)
class FlipResult:
    """Results of runs with a flipped bit each.

    Parameters
    ----------
    faults : dict of str to int
        Runs that ended in a fault, by its code.
    right : int
        Runs without a fault and with the right logits.
    wrong : tuple of int
        Bits, counted from the program's first, whose run had wrong logits and no fault.
    """

    faults: dict[str, int]
    right: int
    wrong: tuple[int, ...]


def flip_bits(bits: list[int], compiled: Compiled, image: np.ndarray) -> FlipResult:
    """Run the program once for each bit, with this bit flipped.

    Parameters
    ----------
    bits : list of int
        Counted from the program's first.
    compiled : Compiled
        For TINY.
    image : (height, width, channels) uint8
    """
    board = load_board("sim")
    job = runner.SimulationJob(compiled, image[None], board, TINY, Path())
    code, stride = compiled.code, job.output_stride
    outputs_at = job.outputs_at
    programs_at = outputs_at + len(bits) * stride
    spacing = -(-len(code) // PAGE) * PAGE
    memory = bytearray(programs_at + len(bits) * spacing)
    memory[: len(compiled.region)] = compiled.region
    memory[job.images_at :][: job.image_bytes] = image.tobytes()
    runs = []
    for index, bit in enumerate(bits):
        damaged = bytearray(code)
        damaged[bit // 8] ^= 1 << bit % 8
        place = programs_at + index * spacing
        memory[place : place + len(code)] = damaged
        runs.append((place, outputs_at + index * stride))
    with tempfile.TemporaryDirectory(prefix="pulsar-flips-") as name:
        errors, after = _simulate(Path(name), memory, job, runs)
    regions = np.stack([after[output:][: job.output_bytes] for _, output in runs])
    expected = golden.run(compiled.model, image[None])[0]
    same = (compiled.output(regions) == expected).all(axis=1)
    codes = [FaultCode(error & 15) for error in errors]
    quiet = [code is FaultCode.NONE for code in codes]
    return FlipResult(
        dict(Counter(code.name for code in codes if code is not FaultCode.NONE)),
        sum(silent and equal for silent, equal in zip(quiet, same.tolist(), strict=True)),
        tuple(
            bit
            for bit, silent, equal in zip(bits, quiet, same.tolist(), strict=True)
            if silent and not equal
        ),
    )


def _simulate(
    folder: Path, memory: bytearray, job: runner.SimulationJob, runs: list[tuple[int, int]]
) -> tuple[list[int], np.ndarray]:
    """Return the error register after each run, and the memory at the end."""
    description = job.description({}, {"watchdog_cycles": WATCHDOG_CYCLES, "images": 1})
    description |= {"runs": runs, "limit_cycles": LIMIT_CYCLES}
    (folder / "memory.bin").write_bytes(memory)
    (folder / "job.json").write_text(json.dumps(description))
    testbench.build(TINY).run(
        "sim.benches.flips",
        env={"PULSAR_JOB": str(folder / "job.json")},
        plusargs=[
            f"+memory={folder / 'memory.bin'}",
            f"+memory_bytes={len(memory)}",
        ],
        directory=folder,
    )
    errors = json.loads((folder / "result.json").read_text())
    return errors, np.fromfile(folder / "memory.bin", np.uint8)


def small_network() -> tuple[Compiled, np.ndarray]:
    """Return a network with every kind of instruction, compiled for TINY, and an image."""
    model = random_model(
        image=(28, 28, 1), patch=14, width=32, head_dim=16, blocks=((2, 64),), classes=10, seed=5
    )
    return compile_model(model, TINY), random_images(model.image, 1, seed=7)[0]


def sample_bits(compiled: Compiled, flips: int, seed: int) -> list[int]:
    """Draw bits of a program, no bit twice.

    Raises
    ------
    UserError
        If the program has not so many.
    """
    count = 8 * len(compiled.code)
    if not 1 <= flips <= count:
        raise UserError(f"--flips must be between 1 and the program's {count:,} bits, not {flips}")
    return np.random.default_rng(seed).choice(count, flips, replace=False).tolist()


def main(options: FlipOptions) -> None:
    """Flip bits and count what follows."""
    if options.json:
        require_writable(options.json)
    compiled, image = small_network()
    result = flip_bits(sample_bits(compiled, options.flips, options.seed), compiled, image)
    instructions = len(compiled.program.operations)
    title = f"{options.flips:,} single bits flipped in a program of {instructions} instructions"
    shown = table("what follows", "runs", text=["what follows"], title=title)
    for code, count in sorted(result.faults.items(), key=lambda item: -item[1]):
        shown.add_row(f"fault {code}", f"{count:,}")
    shown.add_row("no fault, right logits", f"{result.right:,}")
    shown.add_row("no fault, wrong logits", f"{len(result.wrong):,}")
    print_tables(shown)
    if options.json:
        with atomic_write(options.json, "w") as file:
            figures = {"flips": options.flips, "seed": options.seed, "faults": result.faults}
            figures |= {"right": result.right, "wrong": len(result.wrong)}
            json.dump({"schema": SCHEMA} | figures, file, indent=2)
    if result.wrong:
        raise ToolError(f"wrong logits without a fault, bits {', '.join(map(str, result.wrong))}")


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
