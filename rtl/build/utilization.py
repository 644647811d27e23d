"""Vivado's counts: the text that ``report_utilization`` writes, with and without -hierarchical."""

import re
from pathlib import Path

from rtl.build.synthesis import Resources, Utilization
from rtl.errors import UserError

# Rows of a flat report, and columns of a hierarchical one, by older and newer names.
ROWS = {"lut": "CLB LUTs", "ff": "CLB Registers", "bram36": "Block RAM Tile", "dsp": "DSPs"}
ULTRARAM = "URAM"  # a row or column that a device without it may lack
COLUMNS = {
    "lut": ("Total LUTs",),
    "ff": ("FFs",),
    "ramb36": ("RAMB36",),
    "ramb18": ("RAMB18",),
    "dsp": ("DSP Blocks", "DSP48 Blocks"),
}
INDENT = 2  # spaces before an instance's name, for each level

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")  # what -hierarchical_percentage adds is not looked at

Row = list[str]
"""Cells of a table's line; the first one as it is indented."""


def read_utilization(path: Path | str) -> Resources | Utilization:
    """Read a report of Vivado's ``report_utilization`` on an UltraScale+ device.

    Returns
    -------
    Resources or Utilization
        Resources of a flat report; a hierarchical one also has the units, which are the
        instances in the top module, but no modules.

    Raises
    ------
    UserError
        If the file cannot be read, or lacks a row or column; names what is missing.
    """
    text = read_report(path)
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line[:1] == "|"]
    try:
        header = next((n for n, row in enumerate(rows) if row[0].strip() == "Instance"), None)
        return _flat(rows) if header is None else _hierarchical(rows[header], rows[header + 1 :])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_report(path: Path | str) -> str:
    """Read the text of a vendor's report; ``UserError`` if that is not possible."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _flat(rows: list[Row]) -> Resources:
    used = {row[0].strip().rstrip("*"): row[1] for row in reversed(rows) if len(row) > 1}
    for name in ROWS.values():
        if name not in used:
            raise UserError(f"no row '{name}': not Vivado's report_utilization on an UltraScale+")
    counts = {kind: _number(name, used[name]) for kind, name in ROWS.items()}
    counts["uram"] = _number(ULTRARAM, used.get(ULTRARAM, "0"))
    if not counts["lut"]:
        raise UserError(f"row '{ROWS['lut']}': 0, which no engine takes")
    return _resources(counts)


def _hierarchical(header: Row, rows: list[Row]) -> Utilization:
    columns = _columns([cell.strip() for cell in header])
    instances = [(_level(row), row[0].strip(), _instance(row, columns)) for row in rows]
    tops = [used for level, name, used in instances if level == 0]
    if not tops:
        raise UserError("no row of the top module below the column 'Instance'")
    units = {
        name: used for level, name, used in instances if level == 1 and not name.startswith("(")
    }
    return Utilization(tops[0], units, {})


def _columns(header: Row) -> dict[str, int]:
    """Index of each column that is needed."""
    found = {}
    for kind, names in COLUMNS.items():
        known = [name for name in names if name in header]
        if not known:
            raise UserError(f"no column '{names[0]}': columns are {', '.join(header)}")
        found[kind] = header.index(known[0])
    if ULTRARAM in header:
        found["uram"] = header.index(ULTRARAM)
    return found


def _level(row: Row) -> int:
    """Levels below the top: a cell begins with one space, and two more for each of them."""
    return (len(row[0]) - len(row[0].lstrip()) - 1) // INDENT


def _instance(row: Row, columns: dict[str, int]) -> Resources:
    name = row[0].strip()
    if len(row) <= max(columns.values()):
        raise UserError(f"row '{name}' ends after {len(row)} columns")
    counts = {kind: _number(name, row[index]) for kind, index in columns.items()}
    return _resources(counts | {"bram36": counts["ramb36"] + counts["ramb18"] / 2})


def _number(name: str, cell: str) -> float:
    match = _NUMBER.match(cell.strip())
    if match is None:
        raise UserError(f"row '{name}': {cell.strip()!r} is no number")
    return float(match[0].replace(",", ""))


def _resources(counts: dict[str, float]) -> Resources:
    dsp, lut, ff, uram = (int(counts.get(kind, 0)) for kind in ("dsp", "lut", "ff", "uram"))
    return Resources(dsp, lut, ff, counts["bram36"], uram)
