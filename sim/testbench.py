"""The simulated system: an engine, a memory, and sinks for the taps, as one Verilator build.

``python -m sim.testbench`` builds one ahead of its use.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Signature

from rtl import config
from rtl.build.verilog import emit_verilog, hostile_memories
from rtl.cli import ENGINE_METAVAR, Flag, command
from rtl.config import ENGINE_HELP, EngineConfig
from rtl.engine import Engine
from rtl.files import atomic_write, sha256_of
from rtl.lib.devices import Primitives
from sim.toolchain import builder
from sim.toolchain.cache import cache_directory, locked
from sim.toolchain.simulation import Build

HARDWARE = Path(__file__).parent / "hardware"
TOP = "testbench"
MEMORY_PORTS = (
    "arvalid arready araddr arlen rvalid rready rdata rresp rlast "
    "awvalid awready awaddr awlen wvalid wready wdata wstrb wlast bvalid bready bresp"
).split()
SETTINGS = {
    "latency": 16,
    "bytes_per_cycle": 16,
    "stall": 8,
    "seed": 32,
    "error_address": 40,
    "tap_enable": 1,
}
SOFTWARE = {"compiler", "timing", "resources", "soc"}  # rooms of rtl that no engine comes from
WAIVERS = HARDWARE / "generated.vlt"  # a reason for each; what else Verilator finds is an error


def build(
    engine: EngineConfig,
    *,
    tap: bool = True,
    trace: bool = False,
    primitives: Primitives | None = None,
    hostile: bool | None = None,
) -> Build:
    """Compile engine, memory and taps, or find them in the cache.

    With ``primitives`` the engine is the one for devices that have them, and these are models. It
    does the same in the same cycles; by default it is plain, which is faster. ``hostile`` memories
    are those of :func:`rtl.build.verilog.emit_verilog`.

    The top module ``testbench`` has ``clk``, ``rst``, ``irq``, the AXI4-Lite port ``s_axil_*``
    and the settings of the memory (sim/hardware/memory.sv) as inputs.
    """
    builder.require()
    sources = generate(engine, tap=tap, primitives=primitives, hostile=hostile)
    models = [HARDWARE / "ultrascale.sv"] if primitives is Primitives.ULTRASCALE else []
    return builder.build(
        [WAIVERS, *sources, *models, HARDWARE / "memory.sv", HARDWARE / "memory.cpp"],
        top=TOP,
        arguments=["-Wall", "-CFLAGS", f"-DMEMORY_BYTES={engine.memory_bytes}"],
        trace=trace,
        optimize="-O1",  # of a large engine -O2 takes minutes more
    )


def generate(
    engine: EngineConfig,
    *,
    tap: bool = True,
    primitives: Primitives | None = None,
    hostile: bool | None = None,
) -> list[Path]:
    """Emit the Verilog of the engine and of the testbench around it, or find it in the cache."""
    rtl = Path(__file__).parents[1] / "rtl"
    modules = [
        file for file in sorted(rtl.rglob("*.py")) if file.relative_to(rtl).parts[0] not in SOFTWARE
    ]
    code = sha256_of(*modules, Path(__file__))
    hostile = hostile_memories() if hostile is None else hostile
    kind = (f"-{primitives.value}" if primitives else "") + ("-hostile" if hostile else "")
    folder = cache_directory() / "verilog" / f"{engine.hash:016x}-{tap:d}{kind}-{code[:16]}"
    files = folder / "engine.v", folder / "testbench.sv"
    with locked(folder.with_suffix(".lock")):
        if not all(file.is_file() for file in files):
            component = Engine(engine, tap=tap)
            verilog = emit_verilog(component, "engine", primitives, hostile=hostile)
            texts = verilog, _testbench(component.signature, engine)
            for file, text in zip(files, texts, strict=True):
                with atomic_write(file, "w") as target:
                    target.write(text)
    return list(files)


def _ports(signature: Signature) -> Iterator[tuple[tuple[str, ...], bool, int]]:
    """Yield every port of the engine: its path, whether it is an input, its width."""
    component = wiring.PureInterface(signature, path=("engine",))
    for path, member, value in signature.flatten(component):
        width = len(value.as_value() if hasattr(value, "as_value") else value)
        yield tuple(map(str, path)), member.flow is In, width


def _testbench(signature: Signature, engine: EngineConfig) -> str:
    """Return SystemVerilog that wires the engine's ports to memory, taps and the top's ports."""
    top = ["input logic clk", "input logic rst", "output logic irq"]
    top += [f"input logic [{bits - 1}:0] {name}" for name, bits in SETTINGS.items()]
    body, pins, memory = [], [".clk(clk)", ".rst(rst)"], {}
    taps: dict[str, dict[str, str]] = {}
    for path, is_input, width in _ports(signature):
        name, group = "__".join(path), path[0]
        plain = "".join(path[1:]).replace("_", "")
        wire = name
        if group == "irq":
            wire = "irq"
        elif group == "control":
            wire = f"s_axil_{plain}"
            top.append(f"{'input' if is_input else 'output'} logic [{width - 1}:0] {wire}")
        else:
            body.append(f"  wire [{width - 1}:0] {wire};")
        if group == "memory":
            if plain in MEMORY_PORTS:
                memory[plain] = wire
            elif is_input:
                body.append(f"  assign {wire} = '0;")
        if group.startswith("tap_"):
            tap = taps.setdefault("_".join(path[:-1]), {})
            tap[path[-1]] = wire
            if path[-1] == "beat":
                tap["bits"] = str(width)
        pins.append(f".{name}({wire})")
    body += [f"  engine engine({', '.join(pins)});"]
    settings = [f".{name}({name})" for name in SETTINGS if name != "tap_enable"]
    wires = [f".{port}({wire})" for port, wire in memory.items()]
    body += [
        f"  axi_memory #(.BYTES({engine.memory_bytes})) memory("
        f".clk(clk), .rst(rst), {', '.join(settings + wires)});",
        "  memory_files files();",
    ]
    for channel, (tap, wire) in enumerate(sorted(taps.items())):
        body.append(
            f'  tap_sink #(.CHANNEL({channel}), .NAME("{tap.removeprefix("tap_")}"), '
            f".BITS({wire['bits']})) sink_{channel}(.clk(clk), .enable(tap_enable), "
            f".valid({wire['valid']}), .beat({wire['beat']}));"
        )
    separator = ",\n  "
    return f"module {TOP}(\n  {separator.join(top)}\n);\n" + "\n".join(body) + "\nendmodule\n"


@dataclass(frozen=True)
class TestbenchOptions:
    """Build a simulated engine ahead of its use; what was built already is found in the cache."""

    engine: Annotated[str, tyro.conf.arg(metavar=ENGINE_METAVAR, help=ENGINE_HELP)] = "tiny"
    tap: Flag = True
    """Leave out the taps, through which every write is compared: smaller and faster."""


def main(options: TestbenchOptions) -> None:
    """Build one engine."""
    print(build(config.engine(options.engine), tap=options.tap).directory)


def build_meanwhile(engine: EngineConfig) -> None:
    """Start building an engine of :data:`rtl.config.ENGINES` in another process, and go on.

    A later :func:`build` waits for it, or repeats it and reports what failed.
    """
    if config.ENGINES.get(engine.name) == engine:
        command = [sys.executable, "-m", "sim.testbench", "--engine", engine.name]
        quiet = {"stdin": subprocess.DEVNULL, "capture_output": True}
        threading.Thread(target=subprocess.run, args=(command,), kwargs=quiet, daemon=True).start()


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m sim.testbench"))
