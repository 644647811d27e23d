"""Device tree overlay of a board: registers, memory, widths of ports. Not run by us."""

from string import Template

from rtl.board import Board
from rtl.build.block_design import CONTROL_BITS, PS_PORTS, TEMPLATES

NODE = "pulsar"  # uio and its driver, boards/host/uio.py, know the device by the node's name
LEVEL_HIGH = 4
FABRIC_WIDTH = {128: 0, 64: 1, 32: 2}  # of AFIFMn_RDCTRL and AFIFMn_WRCTRL
CONTROL_WIDTH = {32: 0x000, 64: 0x500, 128: 0xA00}  # of AFIFS, for both M_AXI_HPMn_FPD
AFIFS = 14


def overlay(board: Board, design: str) -> str:
    """Return the overlay's source, for ``dtc``.

    Raises
    ------
    UserError
        If the board's file has no table ``[zynq]``.
    """
    zynq = board.require_zynq()
    source = (TEMPLATES / "zynq.dtso").read_text(encoding="utf-8")
    return Template(source).substitute(
        design=design,
        board=board.name,
        node=NODE,
        unit=f"{zynq.control_address:x}",
        address=f"{zynq.control_address:#x}",
        bytes=f"{zynq.control_bytes:#x}",
        interrupt=zynq.interrupt,
        level=LEVEL_HIGH,
        buffer=f"{zynq.buffer_bytes:#x}",
        ports=", ".join(f"S_AXI_{port}_FPD" for port in zynq.ports),
        widths=", ".join(f"<{register} {value:#x}>" for register, value in widths(board)),
    )


def widths(board: Board) -> list[tuple[int, int]]:
    """Return registers of the ports' widths and their values, in pairs as ``config-afi`` has them.

    Port n of the properties has registers 2 n for reads and 2 n + 1 for writes.
    """
    zynq = board.require_zynq()
    value = FABRIC_WIDTH[zynq.port_bits]
    pairs = [(2 * PS_PORTS[port] + way, value) for port in zynq.ports for way in (0, 1)]
    return [*pairs, (AFIFS, CONTROL_WIDTH[CONTROL_BITS])]
