"""The bitstream of a board whose tools are all open: an engine in the board's top module."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.lib import wiring

from rtl.board import Board
from rtl.build.absorb import absorb_in_file
from rtl.build.content import RECORD, exchange, placeholder, words_of
from rtl.build.route import (
    Routed,
    flat_netlist,
    part_options,
    place_and_route,
    require_nextpnr,
)
from rtl.config import EngineConfig
from rtl.lib.devices import primitives_of
from rtl.lib.emit import emit_rtlil
from rtl.soc import ulx3s


@dataclass(frozen=True)
class BoardTop:
    """A board around an engine.

    Parameters
    ----------
    component : callable
        Takes the engine's sizes and words of memory, and makes the top module.
    constraints : callable
        Takes the clock to aim at in Hz; gives pins and frequencies, as an .lpf file says them.
    memory_words : int
    """

    component: Callable[[EngineConfig, Sequence[int]], wiring.Component]
    constraints: Callable[[int], str]
    memory_words: int


TOPS = {"ulx3s": BoardTop(ulx3s.Ulx3s, ulx3s.constraints, ulx3s.MEMORY_WORDS)}
"""By the board's name."""

MARGIN = 1.24
"""The router looks for shorter ways only where a clock is missed: it is given a faster one."""

SHOWN = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")
"""Cells in the summary: look-up tables, flip-flops, block RAMs, multipliers."""

Step = Callable[[str, str], AbstractContextManager]
"""Measures and announces a step: its name in the report, and what it does."""


def require_bitstream(board: Board) -> None:
    """Check before long work that a later :func:`build_bitstream` can run for a board of ``TOPS``.

    Raises
    ------
    UserError
        If its device is unknown, or a package is missing.
    """
    part_options(board.device)
    require_nextpnr()


def build_bitstream(
    board: Board, engine: EngineConfig, out: Path, seed: int, step: Step
) -> tuple[Path, Routed]:
    """Synthesise, place, route and pack ``pulsar_ENGINE.bit`` in the folder ``out``.

    What the tools leave lies in the folder ``pulsar_ENGINE_bitstream`` beside it: netlists before
    and after, nextpnr's log and report, and ``design.config``, whose memory holds a placeholder.
    The bitstream's memory is empty: :mod:`rtl.build.content` makes others of the folder.

    Parameters
    ----------
    board : Board
    engine : EngineConfig
    out : Path
    seed : int
        Of the placer's random numbers.
    step : callable

    Raises
    ------
    UserError
        As :func:`require_bitstream`, and if engine and top module do not go together.
    ToolError
        If a tool fails: the design does not fit, or cannot be routed.
    """
    require_bitstream(board)
    top = TOPS[board.name]
    design = f"pulsar_{engine.name}"
    folder = out / f"{design}_bitstream"
    folder.mkdir(parents=True, exist_ok=True)
    with step("top_s", f"Synthesising the top of board '{board.name}' (Yosys), minutes"):
        component = top.component(engine, placeholder(top.memory_words))
        flat_netlist(emit_rtlil(component, design, primitives_of(board.device)), design, folder)
    with step("registers_s", "Taking registers into block RAMs and multipliers"):
        absorbed = absorb_in_file(folder / "netlist.json")
    with step("route_s", f"Placing and routing for {board.device} (nextpnr), a long while"):
        aim = round(MARGIN * board.clock_hz)
        routed = place_and_route(
            folder, board.device, top.constraints(aim), board.clock_hz, aim_hz=aim, seed=seed
        )
    with step("pack_s", "Packing the bitstream"):
        record = {"engine": f"{engine.hash:016x}", "words": top.memory_words}
        (folder / RECORD).write_text(json.dumps(record))
        exchange(folder, words_of(b"", top.memory_words), f"{design}.bit")
    target = out / f"{design}.bit"
    (folder / f"{design}.bit").replace(target)
    return target, replace(routed, output_registers=absorbed)


def summary(routed: Routed) -> str:
    """Return the clock and the use of the device in a line."""
    cells = [
        f"{name} {routed.used[name]:,} of {routed.available[name]:,}"
        for name in SHOWN
        if name in routed.used
    ]
    verdict = "met" if routed.timing_met else "missed"
    clock = f"{routed.fmax_mhz:g} MHz after routing, {routed.clock_mhz:g} MHz {verdict}"
    return f"{clock} (seed {routed.seed}); {', '.join(cells)}"
