"""``python -m rtl.timing.bench``: how long it takes to predict the cycles of a network."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from rtl import config
from rtl.board import load_board
from rtl.cli import Flag, command
from rtl.compiler import lower, plan
from rtl.console import print_tables, table
from rtl.errors import UserError
from rtl.model import IntegerModel
from rtl.model.shape import NetworkShape, plain_vit
from rtl.timing import MemoryTiming, predict, simulate
from rtl.timing.latencies import unit_latencies

IMAGES = 3  # as many as the cycles of each further image need
DIGITS = Path(__file__).parents[2] / "examples" / "digits.pulsar"
PARTS = ("lower", "simulate", "predict")


@dataclass(frozen=True)
class TimingBenchOptions:
    """Measure the time that predictions take, without the first one of each network.

    For a DeiT-S on the board zcu102 and for the example's network on sim: milliseconds of CPU time,
    the median of some rounds, of lowering, of simulating three images, and of both. Example:

    python -m rtl.timing.bench --json
    """

    rounds: int = 7
    """Rounds of each network."""

    json: Flag = False
    """Print one JSON object instead of a table."""


def main(options: TimingBenchOptions) -> None:
    """Measure both networks."""
    if options.rounds < 1:
        raise UserError(f"--rounds {options.rounds}: must be at least 1")
    deit_s = plain_vit(width=384, heads=6, row_granularity=32)
    networks = {"deit_s": ("zcu102", deit_s), "digits": ("sim", IntegerModel.load(DIGITS).shape)}
    figures = {
        name: milliseconds(shape, board, options.rounds)
        for name, (board, shape) in networks.items()
    }
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        print_tables(shown(figures))


def milliseconds(shape: NetworkShape, board: str, rounds: int) -> dict[str, float]:
    """Median CPU time of each of ``PARTS`` for a network on a board."""
    target = load_board(board)
    engine = config.engine(target.engine)
    memory = MemoryTiming(target.bytes_per_cycle(), target.memory.latency_cycles)
    latencies, program = unit_latencies(engine), lower(plan(shape, engine))
    calls: dict[str, Callable[[], object]] = {
        "lower": lambda: lower(plan(shape, engine)),
        "simulate": lambda: simulate(program, memory, latencies, IMAGES),
        "predict": lambda: predict(shape, engine, memory, latencies, IMAGES),
    }
    return {name: median(_milliseconds(calls[name]) for _ in range(rounds)) for name in PARTS}


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def shown(figures: dict[str, dict[str, float]]) -> Table:
    """Make a table of the figures, a network per line."""
    result = table("network", *PARTS, text=["network"], title="CPU time of a prediction, ms")
    for network, times in figures.items():
        result.add_row(network, *(f"{times[name]:.1f}" for name in PARTS))
    return result


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m rtl.timing.bench"))
