"""The simulated system of a Zynq: its top, and a memory with as many ports.

The top module has the ports of :mod:`sim.testbench`'s, so whatever runs there runs here as well.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from rtl.build.verilog import emit_verilog
from rtl.config import EngineConfig
from rtl.files import atomic_write, sha256_of
from rtl.memory.axi import Axi4, Axi4Lite, Axi4Read
from rtl.soc.pieces import MemoryPorts
from rtl.soc.zynq import CONSTANT, CONTROL, ZynqTop, memory_buses
from sim import testbench
from sim.testbench import HARDWARE, SETTINGS, TOP, WAIVERS
from sim.toolchain import builder
from sim.toolchain.cache import cache_directory, locked
from sim.toolchain.simulation import Build

MODULE = "zynq"  # the top's
MEMORY = tuple(HARDWARE / name for name in ("memory.sv", "memory.cpp", "axi_rules.sv", "ports.sv"))
UNWATCHED = CONSTANT | {"arcache", "arprot", "awcache", "awprot"}  # signals that no memory reads
MISSING = "-Wno-PINMISSING"  # pins that nobody reads: taps, attributes of bursts


def build(engine: EngineConfig, ports: MemoryPorts | None = None, *, tap: bool = True) -> Build:
    """Compile engine, top and memory, or find them in the cache; as :func:`sim.testbench.build`.

    Parameters
    ----------
    engine : EngineConfig
    ports : MemoryPorts, optional
        Those of the top; by default the engine's own port is the top's.
    tap : bool
        Show every write to every scratchpad.
    """
    builder.require()
    verilog, taps = testbench.generate(engine, tap=tap)
    files = _generate(engine, ports, taps.read_text())
    size = ports.bytes if ports else engine.memory_bytes
    return builder.build(
        [WAIVERS, verilog, *files, *MEMORY],
        top=TOP,
        arguments=["-Wall", MISSING, "-CFLAGS", f"-DMEMORY_BYTES={size}"],
        optimize="-O1",
    )


def _generate(engine: EngineConfig, ports: MemoryPorts | None, taps: str) -> list[Path]:
    """Emit the top and what lies around it, to the cache."""
    texts = emit_verilog(ZynqTop(engine, "engine", ports), MODULE), _testbench(engine, ports, taps)
    folder = cache_directory() / "verilog" / f"{MODULE}-{sha256_of(*texts)[:24]}"
    files = [folder / "zynq.v", folder / "testbench.sv"]
    with locked(folder.with_suffix(".lock")):
        for file, text in zip(files, texts, strict=True):
            if not file.is_file():
                with atomic_write(file, "w") as target:
                    target.write(text)
    return files


def _testbench(engine: EngineConfig, ports: MemoryPorts | None, taps: str) -> str:
    """Return SystemVerilog that wires the top to memory and taps; these as the engine's own."""
    head = ["input logic clk", "input logic rst", "output logic irq"]
    head += [f"input logic [{bits - 1}:0] {name}" for name, bits in SETTINGS.items()]
    pins = [".aclk(clk)", ".aresetn(!rst)", ".interrupt(irq)"]
    for name, member in Axi4Lite().flip().members.items():
        way = "input" if member.flow.name == "In" else "output"
        head.append(f"{way} logic [{member.shape - 1}:0] s_axil_{name}")
        pins.append(f".{CONTROL}_{name}(s_axil_{name})")
    size = ports.bytes if ports else engine.memory_bytes
    block = ports.piece_bytes if ports else 16 * size
    memory, to_memory = memory_side([f"{bus}_" for bus in memory_buses(ports)], size, block)
    sinks = re.findall(r"^  tap_sink .*;$", taps, re.M)
    sinks = [re.sub(r"\.(valid|beat)\((\w+)\)", r".\1(top.engine.\2)", sink) for sink in sinks]
    body = [memory, f"  {MODULE} top({', '.join(pins + to_memory)});", "  memory_files files();"]
    separator = ",\n  "
    lines = [f"module {TOP}(\n  {separator.join(head)}\n);", *body, *sinks, "endmodule"]
    return "\n".join(lines) + "\n"


def memory_side(prefixes: Sequence[str], size: int, block: int) -> tuple[str, list[str]]:
    """Return a memory with a port for each prefix, and the pins of what is connected to it.

    Parameters
    ----------
    prefixes : sequence of str
        Of the signals of each port; the first one writes.
    size : int
        Bytes per beat.
    block : int
        Bytes whose end no burst crosses.
    """
    count, pins, lines, wires = len(prefixes), [], [], []
    kinds = [Axi4(size), *[Axi4Read(size)] * (count - 1)]
    for name, member in kinds[0].members.items():
        if name in UNWATCHED:
            continue
        wires.append(f".{name}(memory_{name})")
        lines.append(f"  wire [{count - 1}:0][{member.shape - 1}:0] memory_{name};")
        for index, (prefix, kind) in enumerate(zip(prefixes, kinds, strict=True)):
            if name in kind.members:
                pins.append(f".{prefix}{name}(memory_{name}[{index}])")
            elif member.flow.name == "Out":
                lines.append(f"  assign memory_{name}[{index}] = '0;")
    wires += [f".{name}({name})" for name in ("clk", "rst", *SETTINGS) if name != "tap_enable"]
    sizes = f"#(.PORTS({count}), .BYTES({size}), .BLOCK({block}))"
    return "\n".join([*lines, f"  memory_ports {sizes} memory({', '.join(wires)});"]), pins
