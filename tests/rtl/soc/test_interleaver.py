# amaranth: UnusedElaboratable=no
"""The interleaver: random traffic in Verilator, latency and throughput in Amaranth's simulator."""

import json
from pathlib import Path

import numpy as np
import pytest

from rtl.build.verilog import emit_verilog
from rtl.memory.axi import Axi4
from rtl.soc import interleaver
from rtl.soc.interleaver import Interleaver
from rtl.soc.pieces import MemoryPorts
from sim.toolchain import builder
from sim.tops import MEMORY, UNWATCHED, memory_side
from tests.rtl.simulation import simulate

STRESS = Path(__file__).parent / "interleaver" / "stress.sv"
BENCH = "tests.rtl.soc.interleaver.bench"
LAYOUTS = [(64, 2, 32), (64, 3, 16), (64, 1, 16), (16, 2, 16), (16, 3, 8), (32, 4, 32)]
PATTERNS = 1000
FEW = 100  # of all layouts but the first; nox -s zcu102 tries as many of each


def board(data_bytes, ports):
    """SystemVerilog of module ``board``: an interleaver with its memory, for stress.sv."""
    prefixes = ["first__", *(f"others__{n}__" for n in range(ports.count - 1))]
    memory, pins = memory_side(prefixes, ports.bytes, ports.piece_bytes)
    settings = {"latency": 16, "bytes_per_cycle": 16, "stall": 8, "seed": 32, "error_address": 40}
    head = ["input logic clk", "input logic rst"]
    head += [f"input logic [{bits - 1}:0] {name}" for name, bits in settings.items()]
    for name, member in Axi4(data_bytes).flip().members.items():
        if name not in UNWATCHED | {"arsize", "awsize", "arburst", "awburst"}:
            way = "input" if member.flow.name == "In" else "output"
            head.append(f"{way} logic [{member.shape - 1}:0] {name}")
            pins.append(f".engine__{name}({name})")
    pins += [f".engine__{name}burst(2'b01)" for name in ("ar", "aw")]
    instance = f"  interleaver interleaver(.clk(clk), .rst(rst), {', '.join(pins)});"
    return f"module board({', '.join(head)});\n{memory}\n{instance}\nendmodule\n"


def content(size):
    """The words that stress.sv expects where nothing was written."""
    address = 4 * np.arange(size // 4, dtype=np.uint64)
    words = (address >> 2) * 2654435769 ^ address >> 7
    return words.astype(np.uint32).tobytes()


def stress(data_bytes, ports, patterns, folder):
    verilog = emit_verilog(Interleaver(data_bytes, ports), "interleaver")
    (folder / "interleaver.v").write_text(verilog)
    (folder / "board.sv").write_text(board(data_bytes, ports))
    sizes = {
        "BYTES": data_bytes,
        "PORTS": ports.count,
        "PORT_BYTES": ports.bytes,
        "BLOCK": ports.piece_bytes,
    }
    build = builder.build(
        [STRESS, folder / "interleaver.v", folder / "board.sv", *MEMORY],
        top="stress",
        arguments=[
            *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
            *(f"-G{name}={value}" for name, value in sizes.items()),
            *("-CFLAGS", f"-DMEMORY_BYTES={ports.bytes}"),
        ],
    )
    memory = folder / "memory.bin"
    memory.write_bytes(content(48 * 16 * data_bytes))
    build.run(
        BENCH,
        testcase="stress",
        env={"FOLDER": str(folder), "PATTERNS": str(patterns)},
        plusargs=[f"+memory={memory}", f"+memory_bytes={memory.stat().st_size}"],
    )
    return json.loads((folder / "counts.json").read_text())


@pytest.mark.sim
@pytest.mark.parametrize(
    ("data_bytes", "count", "port_bytes", "patterns"),
    [
        (*LAYOUTS[0], PATTERNS),
        *((*layout, FEW) for layout in LAYOUTS[1:]),
        *(pytest.param(*layout, PATTERNS, marks=pytest.mark.zcu102) for layout in LAYOUTS[1:]),
    ],
)
def test_no_beat_is_lost_doubled_or_out_of_order(
    data_bytes, count, port_bytes, patterns, tmp_path, monkeypatch
):
    """Patterns of stalls, latencies, bandwidths and errors, with all rules of AXI watched.

    Room for four pieces, less than the traffic asks for; in the first layout as it is.
    """
    ports = MemoryPorts(count, port_bytes)
    if (data_bytes, count, port_bytes) != LAYOUTS[0]:
        monkeypatch.setattr(interleaver, "ROOM_BYTES", 4 * ports.piece_bytes)
    counts = stress(data_bytes, ports, patterns, tmp_path)
    assert counts.pop("wrong") == 0
    assert counts.pop("pattern") == patterns
    assert counts.pop("answered") == 6 * patterns
    assert counts.pop("checked") > 30 * patterns * 7  # beats of bursts of 8.5 on average
    assert counts.pop("errors") > patterns / 10


def beats_of(data_bytes, ports, bursts, memory_cycles=20):
    """Cycles in which whole bursts are taken, and in which their beats come; an ideal memory."""
    dut, taken, given = Interleaver(data_bytes, ports), [], []
    parts = data_bytes // ports.bytes

    async def engine(ctx):
        left = bursts
        ctx.set(dut.engine.rready, 1)
        ctx.set(dut.engine.arlen, 15)
        cycle = 0
        while len(given) < 16 * bursts:
            ctx.set(dut.engine.arvalid, left > 0)
            ctx.set(dut.engine.araddr, 16 * data_bytes * (bursts - left))
            if ctx.get(dut.engine.rvalid):
                given.append(cycle)
                assert ctx.get(dut.engine.rdata) & 0xFFFF == len(given) - 1
                assert ctx.get(dut.engine.rlast) == (len(given) % 16 == 0)
            if left and ctx.get(dut.engine.arready):
                taken.append(cycle)
                left -= 1
            await ctx.tick()
            cycle += 1
            assert cycle < 2000

    def memory(bus):
        async def serve(ctx):
            waiting, cycle = [], 0  # beats: when each may go, its value, and whether it is the last
            ctx.set(bus.arready, 1)
            while True:
                if ctx.get(bus.arvalid):
                    first, count = ctx.get(bus.araddr) // ports.bytes, ctx.get(bus.arlen) + 1
                    waiting += [
                        (cycle + memory_cycles, (first + n) // parts, n == count - 1)
                        for n in range(count)
                    ]
                goes = bool(waiting) and waiting[0][0] <= cycle
                _, value, last = waiting.pop(0) if goes else (0, 0, 0)
                ctx.set(bus.rvalid, goes)
                ctx.set(bus.rdata, value)
                ctx.set(bus.rlast, last)
                await ctx.tick()
                cycle += 1

        return serve

    simulate(dut, engine, background=[memory(bus) for bus in (dut.first, *dut.others)])
    return taken, given


@pytest.mark.parametrize(("data_bytes", "count", "port_bytes"), LAYOUTS)
def test_latency_and_throughput(data_bytes, count, port_bytes):
    ports = MemoryPorts(count, port_bytes)
    taken, given = beats_of(data_bytes, ports, 8)
    assert given[0] - taken[0] - 20 == Interleaver.latency(data_bytes, ports)
    piece = ports.piece_bytes // data_bytes
    slowest = max(1, data_bytes / (count * port_bytes))  # cycles per beat, behind the first piece
    assert given[-1] - given[piece - 1] <= slowest * (len(given) - piece)
    if slowest > 1:
        assert given[-1] - given[0] >= slowest * (len(given) - piece)


def test_ports_that_cannot_carry_an_engine_s_beats_are_refused():
    with pytest.raises(ValueError, match="ports of 32 bytes cannot carry beats of 16: these must"):
        Interleaver(16, MemoryPorts(2, 32))
