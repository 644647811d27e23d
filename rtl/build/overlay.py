"""Device tree overlay of a board: registers, memory and widths of ports, for Linux. Not run by us."""

from rtl.board import Board
from rtl.build.block_design import CONTROL_BITS, PS_PORTS

NODE = "pulsar"  # uio and its driver, boards/host/uio.py, know the device by the node's name
LEVEL_HIGH = 4
FABRIC_WIDTH = {128: 0, 64: 1, 32: 2}  # of AFIFMn_RDCTRL and AFIFMn_WRCTRL
CONTROL_WIDTH = {32: 0x000, 64: 0x500, 128: 0xA00}  # of AFIFS, for both M_AXI_HPMn_FPD
AFIFS = 14

SOURCE = """\
/dts-v1/;
/plugin/;

/* {design} on board {board}: registers, interrupt and memory for boards/host/uio.py.
 * Not run by us.
 * It names no label, so that it applies to trees without symbols. The engine's interrupt has the
 * parent that the tree's root has. Where that has none, docs/zynq.md says how to add it.
 */
/ {{
	fragment@0 {{
		target-path = "/";

		__overlay__ {{
			#address-cells = <2>;
			#size-cells = <2>;

			{node}@{address:x} {{
				compatible = "generic-uio";
				reg = <0x0 {address:#x} 0x0 {bytes:#x}>;
				interrupts = <0 {interrupt} {level}>;
			}};

			{node}-memory {{
				compatible = "ikwzm,u-dma-buf";
				device-name = "udmabuf-{node}";
				size = <{buffer:#x}>;
			}};

			/* Widths of {ports} and of M_AXI_HPM0_FPD, for kernels with
			 * xilinx-afi: Documentation/devicetree/bindings/fpga/xlnx,afi-fpga.yaml
			 * of github.com/Xilinx/linux-xlnx.
			 */
			{node}-afi {{
				compatible = "xlnx,afi-fpga";
				config-afi = {widths};
			}};
		}};
	}};
}};
"""


def overlay(board: Board, design: str) -> str:
    """Return the overlay's source, for ``dtc``.

    Raises
    ------
    UserError
        If the board's file has no table ``[zynq]``.
    """
    zynq = board.require_zynq()
    return SOURCE.format(
        design=design,
        board=board.name,
        node=NODE,
        address=zynq.control_address,
        bytes=zynq.control_bytes,
        interrupt=zynq.interrupt,
        level=LEVEL_HIGH,
        buffer=zynq.buffer_bytes,
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
