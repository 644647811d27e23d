"""Parts of a board's file: limits of resources, and the memory."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

Word = Annotated[str, Field(pattern=r"^[\w.+-]+$")]
"""A name that tables, Tcl scripts and file names take as it is."""


class BoardRecord(BaseModel):
    """Frozen, with no unknown fields and no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(BoardRecord):
    """Limits of a device's resources; None where there is no limit.

    Parameters
    ----------
    dsp : int, optional
        Hard multipliers: DSP48E2, or ECP5's 18 × 18.
    lut, ff : int, optional
        Look-up tables (of the device's own size) and flip-flops.
    bram36 : int, optional
        Block memories of 36 kbit.
    uram : int, optional
        UltraRAMs of 288 kbit; an engine search uses none where nothing is stated.
    """

    dsp: PositiveInt | None = None
    lut: PositiveInt | None = None
    ff: PositiveInt | None = None
    bram36: PositiveInt | None = None
    uram: NonNegativeInt | None = None


class BoardMemory(BoardRecord):
    """The external memory as the engine sees it.

    Parameters
    ----------
    gigabytes_per_second : float
        Sustained, reads and writes together; 1 GB is 10⁹ bytes. At least 0.01.
    latency_cycles : int
        Cycles from a read's address to its first data, up to 65,535, the most that the simulated
        memory can be told.
    ports : int
        AXI4 ports, 1 to 4.
    port_bits : int
        Data width of a port: 32, 64, 128 or 256.
    capacity_bytes : int, optional
        Size of the memory, for boards that a network may be too large for.
    axi_cache, axi_prot : int
        AxCACHE and AxPROT of what the engine reads and writes, for ports that want others than
        0b0011 and 0b000.
    """

    gigabytes_per_second: Annotated[float, Field(ge=0.01, allow_inf_nan=False)]
    latency_cycles: Annotated[int, Field(ge=1, le=0xFFFF)]
    ports: Annotated[int, Field(ge=1, le=4)] = 1
    port_bits: Literal[32, 64, 128, 256] = 128
    capacity_bytes: PositiveInt | None = None
    axi_cache: Annotated[int, Field(ge=0, le=0b1111)] = 0b0011
    axi_prot: Annotated[int, Field(ge=0, le=0b111)] = 0b000

    @property
    def port_bytes_per_cycle(self) -> int:
        """Bytes that all ports together can carry in a cycle."""
        return self.ports * self.port_bits // 8
