"""Vivado's script for a whole board: processors, engine, ports, bitstream. Not run by us."""

import tomllib
from pathlib import Path

import boards
from rtl.board import Board, Zynq
from rtl.config import EngineConfig

TEMPLATES = Path(boards.__file__).parent / "templates"
CONTROL_BITS = 128  # of M_AXI_HPM0_FPD; a converter makes AXI4-Lite of it
PS_PORTS = {"HP0": 2, "HP1": 3, "HP2": 4, "HP3": 5}
"""Numbers of the ports in the properties of the processors: S_AXI_HP0_FPD is ``S_AXI_GP2``."""


def known_properties() -> dict[str, dict[str, str]]:
    """Return the properties of the processors that a script may set: what they do, and a source."""
    return tomllib.loads((TEMPLATES / "ps_properties.toml").read_text(encoding="utf-8"))


def ps_properties(board: Board) -> dict[str, str]:
    """Return the properties of the processors for a board with a table ``[zynq]``, by their name.

    Everything else is as the board's preset has it.
    """
    zynq = board.require_zynq()
    apart = has_port_clock(board)
    found: dict[str, object] = {
        "PSU__USE__M_AXI_GP0": 1,
        "PSU__USE__M_AXI_GP1": 0,
        "PSU__USE__M_AXI_GP2": 0,
        "PSU__MAXIGP0__DATA_WIDTH": CONTROL_BITS,
        "PSU__USE__IRQ0": 1,
        "PSU__NUM_FABRIC_RESETS": 1,
        "PSU__FPGA_PL0_ENABLE": 1,
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": _mhz(board.clock_hz),
        "PSU__FPGA_PL1_ENABLE": int(apart),
    }
    if apart:
        found["PSU__CRL_APB__PL1_REF_CTRL__FREQMHZ"] = _mhz(port_clock_hz(board))
    for port, number in PS_PORTS.items():
        found[f"PSU__USE__S_AXI_GP{number}"] = int(port in zynq.ports)
        if port in zynq.ports:
            found[f"PSU__SAXIGP{number}__DATA_WIDTH"] = zynq.port_bits
    return {name: str(value) for name, value in found.items()}


def block_design(board: Board, engine: EngineConfig, design: str) -> str:
    """Return the script that makes ``DESIGN.bit``, ``DESIGN.hwh`` and ``DESIGN.xsa`` in Vivado.

    It reads ``DESIGN.v`` and ``DESIGN_top.v`` beside it, and stops with an error on negative slack,
    nets that are not routed, and critical warnings.

    Raises
    ------
    UserError
        If the board's file has no table ``[zynq]``.
    """
    zynq: Zynq = board.require_zynq()
    values = {
        "design": design,
        "part": board.device,
        "board_part": zynq.board_part,
        "board_connections": zynq.board_connections or "",
        "ports": " ".join(zynq.ports),
        "port_bits": zynq.port_bits,
        "port_mhz": _mhz(port_clock_hz(board)),
        "engine_bits": engine_port_bits(board, engine),
        "engine_mhz": _mhz(board.clock_hz),
        "control_address": f"0x{zynq.control_address:X}",
        "control_bytes": zynq.control_bytes,
        "accepted": " ".join(f"{{{name}}}" for name in zynq.accepted),
    }
    properties = ps_properties(board)
    lines = [
        f"# {design} on board {board.name}: block design, bitstream, hardware platform.",
        "# Not run by us.",
        f"# Run:  vivado -mode batch -source {design}_board.tcl",
        *(f"set {name} {{{value}}}" for name, value in values.items()),
        "# Sources: boards/templates/ps_properties.toml",
        "set ps_properties {",
        *(f"    CONFIG.{name} {{{value}}}" for name, value in properties.items()),
        "}",
    ]
    body = (TEMPLATES / "zynq.tcl").read_text(encoding="utf-8")
    return "\n".join(lines) + "\n" + body


def port_clock_hz(board: Board) -> int:
    """Return the clock of a board's ports to memory."""
    return board.require_zynq().port_clock_hz or board.clock_hz


def has_port_clock(board: Board) -> bool:
    """Tell whether the ports to memory have a clock of their own."""
    return port_clock_hz(board) != board.clock_hz


def engine_port_bits(board: Board, engine: EngineConfig) -> int:
    """Return the width of each of the engine's ports: several ports share what the engine asks for.

    Several of them are as wide as carries the rate of the processors' ports at the engine's clock.
    """
    zynq = board.require_zynq()
    if len(zynq.ports) == 1:
        return 8 * engine.memory_bytes
    return zynq.port_bits * round(port_clock_hz(board) / board.clock_hz)


def _mhz(clock_hz: int) -> str:
    return f"{clock_hz / 1e6:g}"
