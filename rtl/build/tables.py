"""Tables that ``python -m rtl.build`` prints: resources, levels of logic, the longest paths."""

from collections.abc import Iterator
from dataclasses import asdict

from rich.table import Table

from rtl.board import Board
from rtl.build.netlist.fanout import FanOut
from rtl.build.netlist.levels import Levels
from rtl.build.netlist.outputs import Unregistered
from rtl.build.synthesis import Resources, Utilization
from rtl.config import EngineConfig
from rtl.console import table

LARGEST = 12  # kinds of module that the table shows
LEVEL_LIMIT = 4  # of logic between registers, for 300 MHz on an UltraScale+


def resources_table(used: Utilization, board: Board, engine: EngineConfig) -> Table:
    """Return resources by unit and by kind of module, with the board's limits below."""
    names = tuple(asdict(Resources()))
    title = f"Engine {engine.name} on {board.name} ({board.device}), by Yosys"
    result = table("module", "instances", *names, text=["module"], no_wrap=True, title=title)

    def add(label: str, instances: int | None, row: Resources, style: str = "") -> None:
        values = (f"{value:,.10g}" for value in row.values())
        result.add_row(label, "" if instances is None else f"{instances:,}", *values, style=style)

    design = f"pulsar_{engine.name}"
    for name, unit in sorted(used.units.items(), key=lambda item: -item[1].lut):
        add(name.removeprefix(f"{design}."), 1, unit)
    add("between them", 1, used.modules[design].own)
    result.add_section()
    modules = sorted(used.modules.items(), key=lambda m: -m[1].instances * m[1].own.lut)
    for name, module in modules[:LARGEST]:
        label = f"of it {name.removeprefix(f'{design}.')}"
        add(label, module.instances, module.own * module.instances, "dim")
    result.add_section()
    add("total", None, used.total, "bold")
    limits = [getattr(board.limits, name) for name in names]
    if any(limits):
        shares = [
            _share(value, limit) for value, limit in zip(used.total.values(), limits, strict=True)
        ]
        result.add_row(
            "board has", "", *("" if limit is None else f"{limit:,}" for limit in limits)
        )
        result.add_row("used (!: exceeds)", "", *shares, style="bold")
    return result


def levels_table(levels: Levels, design: str) -> Table:
    """Return levels by unit, the longest paths first; ``design`` is the top's name."""
    title = "Levels of logic between registers: LUTs, with a carry chain as one"
    name = "paths that end in"
    columns = "levels", "chain apart", "from inputs", "to outputs", "through"
    deepest = f"ends > {LEVEL_LIMIT}"
    result = table(name, *columns, deepest, text=[name], no_wrap=True, title=title)
    for name, unit in sorted(levels.units.items(), key=lambda item: -item[1].levels):
        through = max((way.levels for way in levels.through if way.unit == name), default=None)
        deep = sum(ends for level, ends in unit.ends.items() if level > LEVEL_LIMIT)
        numbers = (unit.levels, unit.apart, unit.from_inputs, unit.to_outputs)
        label = "between them" if name == design else name
        result.add_row(
            label, *map(str, numbers), "" if through is None else str(through), f"{deep:,}"
        )
    result.add_section()
    result.add_row("most", str(levels.levels), str(levels.apart), style="bold")
    return result


def fan_out_table(widest: list[FanOut]) -> Table:
    """Return the nets with the most loads."""
    title = "Nets with the most loads, clocks apart"
    result = table(
        "net", "driver", "loads", "enables", "resets", text=["net", "driver"], title=title
    )
    for net in widest:
        counts = (f"{count:,}" for count in (net.loads, net.enables, net.resets))
        result.add_row(net.net, net.driver, *counts)
    return result


def path_lines(levels: Levels, count: int) -> Iterator[str]:
    """Yield the longest paths, each with the cells on its way by module."""
    for path in levels.paths[:count]:
        bits = f"{path.ends:,} bit{'s' if path.ends > 1 else ''}"
        yield f"{path.levels} levels to {bits}: {path.start} -> {path.end}"
        yield from (f"    {cells}" for cells in path.through)


def blocks_line(blocks: Unregistered) -> str:
    return (
        f"Without output register: {blocks.dsp:,} DSPs ({blocks.dsp_absorbable:,} can take in the "
        f"flip-flops behind them), {blocks.bram:,} BRAMs ({blocks.bram_absorbable:,}); "
        f"{blocks.dsp_without_mreg:,} DSPs without MREG"
    )


def _share(value: float, limit: int | None) -> str:
    if limit is None:
        return ""
    share = f"{value / limit:.1%}" if limit else ""
    return f"[red]{share} ![/red]" if value > limit else share
