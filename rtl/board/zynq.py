"""Place of an engine beside the processors of a Zynq UltraScale+: the table ``[zynq]``."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rtl.board.records import BoardRecord

PortName = Literal["HP0", "HP1", "HP2", "HP3"]
"""Ports to memory of a Zynq UltraScale+, which pass the processors' caches by: S_AXI_HPn_FPD."""
TreeName = Annotated[str, Field(pattern=r"^[\w.*-]+$")]
MESSAGE_ID = r"[\w.:]+( \w+)?-\d+"
ADDRESSES = range(0xA000_0000, 0xB000_0000)  # of M_AXI_HPM0_FPD
PAGE_BYTES = 4096
LARGEST_BYTES = 65_536  # of the registers


class Zynq(BoardRecord):
    """Place of an engine beside the processors of a Zynq UltraScale+, for Vivado and for Linux.

    Parameters
    ----------
    board_part : str
        The board as Vivado's board files call it, without a version: ``"xilinx.com:zcu102"``.
    board_connections : str, optional
        Connectors of a module's board part and of its carrier, as Vivado's property of that name
        takes them.
    trees : sequence of str
        Device trees of Linux for the board: names of .dtb files, in which ``*`` is any text.
    ports : sequence of str
        Ports to memory, of ``PortName``: one for each of the engine's. HP1 and HP2 share a port of
        the DDR controller (UG1085, "PL-PS Interface Specifics").
    port_bits : int
        Width of such a port: 32, 64 or 128.
    port_clock_hz : int, optional
        Clock of the ports, where it is not the engine's.
    control_address, control_bytes : int
        Where the registers lie, behind M_AXI_HPM0_FPD. Linux's overlay tells the driver of UIO,
        Vivado's .hwh file that of PYNQ.
    interrupt : int
        Shared interrupt of the GIC: 89, which is bit 0 of pl_ps_irq0 (UG1085, "PS-PL Interrupts").
    buffer_bytes : int
        Memory that u-dma-buf takes from Linux for model and images.
    accepted : sequence of str
        Ids of Vivado's critical warnings that do not stop it, such as ``"Board 49-71"``.
    """

    board_part: str
    board_connections: Annotated[str, Field(pattern=r"^[\w.: -]+$")] | None = None
    trees: Annotated[tuple[TreeName, ...], Field(strict=False, min_length=1)]
    ports: Annotated[tuple[PortName, ...], Field(strict=False, min_length=1, max_length=3)]
    port_bits: Literal[32, 64, 128] = 128
    port_clock_hz: Annotated[int, Field(ge=1_000_000, le=333_333_333)] | None = None
    control_address: int = ADDRESSES.start
    control_bytes: Literal[4096, 8192, 16_384, 32_768, 65_536] = 4096
    interrupt: Literal[89] = 89
    buffer_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 31, multiple_of=PAGE_BYTES)] = 1 << 27
    accepted: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @field_validator("board_part")
    @classmethod
    def _without_version(cls, board_part: str) -> str:
        if not re.fullmatch(r"[\w.-]+:[\w.-]+", board_part, re.ASCII):
            raise PydanticCustomError(
                "board_part",
                "must be VENDOR:BOARD without a version, such as 'xilinx.com:zcu102'",
            )
        return board_part

    @field_validator("control_address")
    @classmethod
    def _in_window(cls, address: int) -> int:
        if address not in ADDRESSES or address % LARGEST_BYTES:
            raise PydanticCustomError(
                "control_address",
                "must be a multiple of {step} from {first} up to {last}",
                {
                    "step": hex(LARGEST_BYTES),
                    "first": hex(ADDRESSES.start),
                    "last": hex(ADDRESSES.stop - LARGEST_BYTES),
                },
            )
        return address

    @field_validator("accepted")
    @classmethod
    def _ids(cls, accepted: tuple[str, ...]) -> tuple[str, ...]:
        for name in accepted:
            if not re.fullmatch(MESSAGE_ID, name, re.ASCII):
                raise PydanticCustomError(
                    "accepted",
                    "'{name}' is no id of a message, such as 'Board 49-71' or 'PSU-1'",
                    {"name": name},
                )
        return accepted

    @field_validator("ports")
    @classmethod
    def _apart(cls, ports: tuple[str, ...]) -> tuple[str, ...]:
        if {"HP1", "HP2"} <= set(ports):
            raise PydanticCustomError("ports", "take one of HP1 and HP2, which share a DDR port")
        if len(set(ports)) < len(ports):
            raise PydanticCustomError("ports", "name each port once")
        return ports

    def bytes_per_second(self, clock_hz: int) -> int:
        """Return what the ports carry beside an engine of a clock, in each direction."""
        return len(self.ports) * self.port_bits // 8 * (self.port_clock_hz or clock_hz)
