"""Resources of a design, counted by Yosys."""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rtl.emit import yosys

# How many of what a board's limits count one cell of a device family is.
RESOURCES = {
    "xilinx": {
        **{f"LUT{n}": {"lut": 1} for n in range(1, 7)},
        "LUT6_2": {"lut": 1},
        **{cell: {"ff": 1} for cell in ("FDRE", "FDSE", "FDCE", "FDPE")},
        "DSP48E2": {"dsp": 1},
        "RAMB36E2": {"bram36": 1},
        "RAMB18E2": {"bram36": 0.5},
        "SRL16E": {"lut": 1},
        "SRLC32E": {"lut": 1},
        "RAM32M16": {"lut": 8},
        "RAM64M8": {"lut": 8},
        "RAM32M": {"lut": 4},
        "RAM64M": {"lut": 4},
        "RAM32X1D": {"lut": 2},
        "RAM64X1D": {"lut": 2},
        "RAM128X1D": {"lut": 4},
        "RAM256X1D": {"lut": 8},
        "RAM32X1S": {"lut": 1},
        "RAM64X1S": {"lut": 1},
        "RAM128X1S": {"lut": 2},
        "RAM256X1S": {"lut": 4},
        "RAM512X1S": {"lut": 8},
    },
    "ecp5": {
        "LUT4": {"lut": 1},
        "CCU2C": {"lut": 2},
        "TRELLIS_FF": {"ff": 1},
        "TRELLIS_DPR16X4": {"lut": 4},
        "MULT18X18D": {"dsp": 1},
        "DP16KD": {"bram36": 0.5},
    },
}
COMMANDS = {"xilinx": "synth_xilinx -family xcup -noiopad -noclkbuf", "ecp5": "synth_ecp5"}


def family_of(device: str) -> str:
    """The key of :data:`RESOURCES` for a vendor's part name."""
    return "ecp5" if device.upper().startswith("LFE5") else "xilinx"


@dataclass(frozen=True)
class Utilization:
    """Resources of a design.

    Parameters
    ----------
    total : dict of str to float
        ``lut``, ``ff``, ``dsp``, ``bram36`` of the whole design.
    modules : dict of str to (int, dict)
        Per module: how many instances the design has, and the resources of one, without those of
        the modules inside it.
    """

    total: dict[str, float]
    modules: dict[str, tuple[int, dict[str, float]]]


def utilization(rtlil: str, top: str, device: str) -> Utilization:
    """Synthesise RTLIL text for ``device`` with its hierarchy kept, and count cells.

    A module that is instantiated n times is synthesised once and counted n times.
    """
    family = family_of(device)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.il").write_text(rtlil)
        yosys(
            ["-q", "-p", f"read_rtlil design.il; {COMMANDS[family]} -top {top}; "
             "tee -q -o statistics.json stat -json"],
            cwd=Path(folder),
        )  # fmt: skip
        statistics = json.loads(Path(folder, "statistics.json").read_text())
    return _count(statistics["modules"], top, RESOURCES[family])


def _count(modules: dict, top: str, resources: dict[str, dict[str, float]]) -> Utilization:
    cells = {
        name.removeprefix("\\"): {
            kind.removeprefix("\\"): int(count)
            for kind, count in module["num_cells_by_type"].items()
        }
        for name, module in modules.items()
    }
    instances: Counter[str] = Counter()

    def visit(name: str, count: int) -> None:
        instances[name] += count
        for kind, inside in cells[name].items():
            if kind in cells:
                visit(kind, count * inside)

    visit(top, 1)
    own = {name: _resources(cells[name], resources) for name in instances}
    total = {
        resource: sum(instances[name] * own[name][resource] for name in instances)
        for resource in ("dsp", "lut", "ff", "bram36")
    }
    return Utilization(total, {name: (instances[name], own[name]) for name in instances})


def _resources(cells: dict[str, int], resources: dict[str, dict[str, float]]) -> dict[str, float]:
    own = dict.fromkeys(("dsp", "lut", "ff", "bram36"), 0)
    for kind, count in cells.items():
        for resource, each in resources.get(kind, {}).items():
            own[resource] += count * each
    return own
