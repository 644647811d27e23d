"""Verilog of the top for a Zynq UltraScale+."""

from rtl.board import Board
from rtl.build.block_design import engine_port_bits, port_clock_hz
from rtl.build.verilog import annotated, verilog_of
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.lib.emit import emit_rtlil
from rtl.soc.interleaver import Interleaver
from rtl.soc.pieces import MemoryPorts
from rtl.soc.zynq import ZynqTop


def memory_ports(board: Board, engine: EngineConfig) -> MemoryPorts | None:
    """Return the ports that an interleaver shares an engine's reads among; None for one port.

    Raises
    ------
    UserError
        If they cannot carry the engine's beats.
    """
    if board.zynq is None or len(board.zynq.ports) == 1:
        return None
    try:
        ports = MemoryPorts(len(board.zynq.ports), engine_port_bits(board, engine) // 8)
        Interleaver.check(engine.memory_bytes, ports)
    except ValueError as error:
        raise UserError(
            f"board {board.name!r}, engine {engine.name!r}: {', '.join(board.zynq.ports)} of"
            f" {board.zynq.port_bits} bits at {port_clock_hz(board) / 1e6:g} MHz are"
            f" {engine_port_bits(board, engine)} bits at the engine's {board.clock_hz / 1e6:g} MHz:"
            f" {error}: take one port, or another port_bits or port_clock_hz"
        ) from None
    return ports


def zynq_verilog(engine: EngineConfig, module: str, ports: MemoryPorts | None = None) -> str:
    """Return the Verilog of module ``MODULE_top``, around the engine's ``module``.

    The engine is not in it: that is a file of its own, so that it is counted and placed alone.
    """
    top = ZynqTop(engine, module, ports)
    text = verilog_of(emit_rtlil(top, f"{module}_top"), assertions=False)
    return annotated(text, f"{module}_top", top.attributes())
