"""Tables that the main job prints."""

from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nas.search.candidate_engines import NO_BINDING, left_out
from nas.search.summary import Baseline, Summary, Winner
from nas.space import Arch
from rtl.console import table

NARROW: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0)}
"""Look of a table that has to fit 80 columns."""


def winners_table(summary: Summary) -> Table:
    """Make a table with a row for each winner; it fits 80 columns."""
    columns = (
        "target\nfps", "network\n8-bit", "accuracy\n%", "minus\nQAT", "cycles\npredicted",
        "cycles\nRTL", "fps\nRTL", "images\nRTL", "differ",
    )  # fmt: skip
    result = table(
        *columns,
        text=columns[1:2],
        title=f"Board '{summary.board}' at {summary.clock_hz / 1e6:g} MHz:"
        f" the best of {summary.candidates} subnets",
        caption="8-bit: mean share of row tiles; accuracy: integer model on the"
        f" {summary.task.test_images:,} test images,"
        " 95 % interval; minus QAT: points above quantized training mode, paired; differ from"
        " golden: codes in PyTorch, instructions + logits on the RTL",
        **NARROW,
    )
    for winner in summary.winners:
        result.add_row(*_cells(winner))
    return result


def _cells(winner: Winner) -> tuple[str, ...]:
    low, high = (100 * limit for limit in winner.accuracy_integer_interval)
    cycles, fps = winner.rtl_cycles, winner.rtl_fps
    return (
        f"{winner.target_fps:g}",
        describe(Arch.from_json(winner.arch)),
        f"{100 * winner.accuracy_integer:.1f}\n{low:.1f}..{high:.1f}",
        f"{100 * winner.accuracy_difference:+.1f}",
        f"{winner.predicted_cycles:,}",
        "-" if cycles is None else f"{cycles:,}\n{cycles / winner.predicted_cycles - 1:+.1%}",
        "-" if fps is None else f"{fps:,.0f}",
        f"{winner.rtl_images}",
        f"{winner.golden_mismatches}\n{winner.rtl_wrong_instructions} + {winner.rtl_wrong_logits}",
    )


def baselines_table(summary: Summary) -> Table:
    """Make a table of winners beside their baselines, three rows for each; it fits 80 columns."""
    columns = (
        "target\nfps", "chosen\nfrom", "network\n8-bit", "cycles", "entropy\nnats",
        "accuracy\n%", "winner minus\nnats",
    )  # fmt: skip
    result = table(
        *columns,
        text=columns[1:3],
        title="Winners beside what a search has to beat",
        caption="search: subnets that it evaluated; uniform: the largest that fit with one choice"
        " for all blocks; random: draws of the same cycles; all chosen on the same images; entropy:"
        f" cross-entropy on the {summary.task.test_images:,} test images, winner minus baseline"
        " paired, 95 % interval",
        **NARROW,
    )
    for winner in summary.winners:
        result.add_row(
            f"{winner.target_fps:g}",
            f"{winner.evaluations} search",
            describe(Arch.from_json(winner.arch)),
            f"{winner.predicted_cycles:,}",
            f"{winner.cross_entropy:.4f}",
            f"{100 * winner.accuracy_integer:.1f}",
        )
        for name, baseline in _baselines(winner):
            low, high = baseline.difference_interval
            result.add_row(
                "",
                f"{baseline.evaluations} {name}",
                describe(Arch.from_json(baseline.arch)),
                f"{baseline.cycles:,}",
                f"{baseline.cross_entropy:.4f}",
                f"{100 * baseline.accuracy_integer:.1f}",
                f"{baseline.difference:+.4f}\n{low:+.3f}..{high:+.3f}",
            )
    return result


def verdicts(summary: Summary) -> list[str]:
    """Say for each winner whether the search helped, by the intervals of its differences."""
    return [
        f"{winner.target_fps:g} fps, {winner.in_band:.0%} of candidates near the limit:"
        f" the search {_verdict(winner.baselines.uniform, 'the best uniform network')},"
        f" {_verdict(winner.baselines.random, 'random draws')}"
        for winner in summary.winners
    ]


def _verdict(baseline: Baseline, name: str) -> str:
    low, high = baseline.difference_interval
    if high < 0:
        return f"beat {name}"
    return f"did not help: worse than {name}" if low > 0 else f"did not help against {name}"


def _baselines(winner: Winner) -> tuple[tuple[str, Baseline], ...]:
    return ("uniform", winner.baselines.uniform), ("random", winner.baselines.random)


def work_table(summary: Summary) -> Table:
    """Make a table of the work of one image, with a row for each winner."""
    columns = "MACs\nM", "array\ncycles", "memory\nkB", "scratchpads\nkB", "energy\nµJ"
    caption = "bytes: read and written; energy: dynamic"
    options = {"title": "Work of one image", "caption": caption, "box": box.SIMPLE_HEAD}
    result = table("target\nfps", *columns, text=(), **options)
    for winner in summary.winners:
        work, joules = winner.work, winner.work.energy_joules
        result.add_row(
            f"{winner.target_fps:g}",
            f"{work.macs / 1e6:,.2f}",
            f"{work.array_cycles:,}",
            f"{work.memory_bytes / 1e3:,.1f}",
            f"{work.scratchpad_bytes / 1e3:,.1f}",
            "uncalibrated" if joules is None else f"{joules * 1e6:,.4g}",
        )
    return result


def summary_lines(summary: Summary) -> list[str]:
    """Say whether the search helped, what an engine search found, and what costing took."""
    share = summary.costing_s / summary.wall_s
    costing = f"Costs of subnets: {summary.costing_s:g} s, {share:.1%} of the time"
    return [*verdicts(summary), *_engine_lines(summary), costing]


def _engine_lines(summary: Summary) -> list[str]:
    """Say what the engine takes, what keeps faster ones out, and what was not considered."""
    if not summary.engine_searched:
        return []
    used = ", ".join(
        f"{name} {value:,.10g} of {limit:,}"
        for name, value in (summary.resources or {}).items()
        if (limit := summary.limits[name])  # of UltraRAM there may be none
    )
    lines = [f"Engine {summary.engine}: {used}", f"Limit: {summary.binding or NO_BINDING}"]
    if summary.engine_gap is not None:
        lines.append(
            "Engine search: stopped at its time limit; an engine that was not tried may take up to"
            f" {summary.engine_gap:.1%} fewer cycles"
        )
    without = left_out(summary.lanes_left_out, summary.lanes)
    return [*lines, f"Calibration: {without}"] if without else lines


def describe(arch: Arch) -> str:
    """Return width x depth, and on a second line the mean fraction of 8-bit tiles."""
    fractions = [value for block in arch.blocks for value in block.bits8.values()]
    mean = float(np.mean([arch.embed_bits8, arch.head_bits8, *fractions]))
    return f"{arch.width} x {arch.depth}\n{mean:.0%}"
