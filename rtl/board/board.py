"""A board: limits, clock, memory and default engine of a device; read from a TOML file."""

import shlex
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr, ValidationError, model_validator

import boards
from rtl import config
from rtl.board.records import BoardMemory, BoardRecord, Limits, Word
from rtl.board.zynq import Zynq
from rtl.errors import UserError
from rtl.lib.devices import is_zynq

FOLDER = Path(boards.__file__).parent
CALIBRATION_SUFFIX = ".calibration.json"  # in place of .toml; nas.cost.calibration reads it


class Board(BoardRecord):
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
