"""Boards: device, limits, clock, memory and default engine, one TOML file each.

A new board is a new file here, or anywhere: wherever a board's name is asked for, the path of a
``.toml`` file will do.
"""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

import boards
from rtl import config
from rtl.errors import UserError
from rtl.lib.devices import is_zynq

FOLDER = Path(boards.__file__).parent
CALIBRATION_SUFFIX = ".calibration.json"  # in place of .toml; nas.cost.calibration reads it

Word = Annotated[str, Field(pattern=r"^[\w.+-]+$")]
"""A name that tables, Tcl scripts and file names take as it is."""


class _BoardRecord(BaseModel):
    """Frozen, with no unknown fields and no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(_BoardRecord):
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


class BoardMemory(_BoardRecord):
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


PortName = Literal["HP0", "HP1", "HP2", "HP3"]
"""Ports to memory of a Zynq UltraScale+, which pass the processors' caches by: S_AXI_HPn_FPD."""
TreeName = Annotated[str, Field(pattern=r"^[\w.*-]+$")]
MESSAGE_ID = r"[\w.:]+( \w+)?-\d+"
ADDRESSES = range(0xA000_0000, 0xB000_0000)  # of M_AXI_HPM0_FPD
PAGE_BYTES = 4096
LARGEST_BYTES = 65_536  # of the registers


class Zynq(_BoardRecord):
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


class Board(_BoardRecord):
    """A board, or the simulation of one.

    Parameters
    ----------
    name : str
        Name on the command line.
    device : str
        The part, as the vendor's tool calls it.
    clock_hz : int
        Clock frequency of the engine.
    engine : str
        The default engine's name, such as ``"TINY"``.
    limits : Limits
    memory : BoardMemory
    zynq : Zynq, optional
        For a Zynq UltraScale+: what a block design and Linux need to know.
    """

    name: Word
    device: Word
    clock_hz: Annotated[int, Field(ge=1_000_000, le=1_000_000_000)]
    engine: str
    limits: Limits = Limits()
    memory: BoardMemory
    zynq: Zynq | None = None
    _file: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _has_processors(self) -> "Board":
        if self.zynq and not is_zynq(self.device):
            raise UserError(
                f"device = {self.device!r} is no Zynq UltraScale+, such as xczu9eg or xck26, which"
                " the table [zynq] is for: correct the device, or leave the table out"
            )
        return self

    @property
    def calibration(self) -> Path | None:
        """Path of the calibration, whether there is one or not: beside the board's file."""
        return self._file.with_suffix(CALIBRATION_SUFFIX) if self._file else None

    @property
    def option(self) -> str:
        """Value for ``--board`` in a shell: the board's name, or the quoted path of its file."""
        ours = self._file is None or self._file.parent == FOLDER
        return self.name if ours else shlex.quote(str(self._file))

    def bytes_per_cycle(self, clock_hz: int | None = None) -> float:
        """Return how many bytes memory gives the engine in a cycle, at most what its ports carry.

        A faster clock leaves fewer bytes to a cycle; ``clock_hz`` is the board's own by default.
        """
        bandwidth = self.memory.gigabytes_per_second * 1e9 / (clock_hz or self.clock_hz)
        return min(bandwidth, self.memory.port_bytes_per_cycle)

    def require_ports(self, memory_bytes: int) -> None:
        """Check that the board's ports together are as wide as an engine's memory port.

        Raises
        ------
        UserError
            If they are narrower: names both widths.
        """
        carried = self.memory.port_bytes_per_cycle
        if memory_bytes > carried:
            raise UserError(
                f"does not fit the ports of board {self.name!r}: memory_bytes {memory_bytes} >"
                f" {carried}, {self.memory.ports} x {self.memory.port_bits} bits: a width converter"
                " has to lie between"
            )

    def require_zynq(self) -> Zynq:
        """Return the table for block design and Linux.

        Raises
        ------
        UserError
            If the board's file has none.
        """
        if self.zynq is None:
            raise UserError(
                f"board {self.name!r} has no table [zynq], which a block design and Linux need:"
                " docs/zynq.md says what is in it"
            )
        return self.zynq

    def with_ports_for(self, memory_bytes: int) -> "Board":
        """Return the board with the first ports of ``[zynq]``, as many as an engine's beats fill.

        One port carries a beat of any width, only more slowly than the engine asks for it.
        """
        if self.zynq is None:
            return self
        each = self.zynq.bytes_per_second(self.clock_hz) // len(self.zynq.ports)
        count = max(1, -(-memory_bytes * self.clock_hz // each))
        zynq = self.zynq.model_copy(update={"ports": self.zynq.ports[:count]})
        return self.model_copy(update={"zynq": zynq})

    def require_zynq_ports(self, memory_bytes: int) -> None:
        """Check that the ports of ``[zynq]`` carry what an engine's cycles are predicted with.

        Raises
        ------
        UserError
            If they carry less: names both rates.
        """
        if self.zynq is None:
            return
        carried = self.zynq.bytes_per_second(self.clock_hz)
        wanted = min(self.bytes_per_cycle(), memory_bytes) * self.clock_hz
        if carried < wanted:
            raise UserError(
                f"{' and '.join(self.zynq.ports)} of board {self.name!r}: {carried / 1e9:g} GB/s <"
                f" {wanted / 1e9:g}, with which cycles are predicted: expect more of them"
            )

    def require_memory(self, used_bytes: int) -> None:
        """Check that a network and one image fit the board's memory.

        Raises
        ------
        UserError
            If they are larger: names both sizes.
        """
        capacity = self.memory.capacity_bytes
        if capacity is not None and used_bytes > capacity:
            raise UserError(
                f"does not fit the memory of board {self.name!r}: model and one image take"
                f" {used_bytes:,} bytes > {capacity:,}: take a smaller network, or fewer 8-bit rows"
            )

    def frames_per_second(self, cycles: float) -> float:
        """Return the frame rate of a network that takes ``cycles`` per image."""
        return self.clock_hz / cycles

    def require(self, **used: int) -> None:
        """Check an engine's resources against the limits.

        Parameters
        ----------
        **used : int
            By the limit's name: ``board.require(dsp=2_520, lut=200_000)``.

        Raises
        ------
        UserError
            Names every resource that does not fit, its value and its limit.
        """
        unknown = sorted(set(used) - set(Limits.model_fields))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no resource: {', '.join(Limits.model_fields)}")
        limits = {name: getattr(self.limits, name) for name in used}
        excess = [
            f"{name} {value:,} > {limits[name]:,}"
            for name, value in used.items()
            if limits[name] is not None and value > limits[name]
        ]
        if excess:
            raise UserError(f"does not fit board {self.name!r}: {', '.join(excess)}")


def board_names() -> list[str]:
    """Return the names of the boards that come with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load_board(name: str) -> Board:
    """Read a board by its name, in any case, or from the path of a ``.toml`` file.

    Raises
    ------
    UserError
        If there is no such board, or its file is wrong (names field, value and limit).
    """
    if name.lower().endswith(".toml"):
        return _read(Path(name))
    if name.lower() not in board_names():
        known = ", ".join(board_names())
        raise UserError(f"unknown board {name!r}: choose one of {known}, or a path ending in .toml")
    return _read(FOLDER / f"{name.lower()}.toml")


def _read(file: Path) -> Board:
    try:
        # Some editors begin a file with a byte-order mark, which TOML does not know.
        board = Board.model_validate(tomllib.loads(file.read_text(encoding="utf-8-sig")))
        _require_engine(board.engine)
        board._file = file
        return board
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a TOML file: {error}") from None
    except ValidationError as error:
        raise UserError(f"{file}: {_first_problem(error)}") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _require_engine(name: str) -> None:
    try:
        config.engine(name)
    except OSError as error:
        raise UserError(f"engine = {name!r}: {error.strerror}") from None


def _first_problem(error: ValidationError) -> str:
    """Say field, value and limit: ``limits.dsp = -3: input should be greater than 0``."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    reason = first["msg"][0].lower() + first["msg"][1:]
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "extra_forbidden":
        return f"{name} = {first['input']!r}: no such field"
    value = first["input"]
    shown = hex(value) if name == "zynq.control_address" and type(value) is int else repr(value)
    return f"{name} = {shown}: {reason}"
