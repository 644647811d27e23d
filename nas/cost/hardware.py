"""A board with an engine on it: what a subnet costs there, and whether it fits at all."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import boards
from boards import Board
from nas.space import NATURAL_ORDER, Arch, Space, TileOrder
from rtl import config
from rtl.compiler import MemoryTiming, check, predict
from rtl.compiler.latencies import unit_latencies
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.shape import NetworkShape

Cycles = Callable[[Arch], float]
"""Cycles per image of a subnet; infinite where it does not fit the engine."""


@dataclass(frozen=True)
class Hardware:
    """A board with the engine on it.

    Parameters
    ----------
    board : Board
    engine : EngineConfig
    """

    board: Board
    engine: EngineConfig

    @classmethod
    def load(cls, board: str, engine: str | None = None) -> "Hardware":
        """Look a board up, with its default engine or another one.

        Raises
        ------
        UserError
            If there is no such board or engine.
        """
        found = boards.load(board)
        return cls(found, config.engine(engine or found.engine))

    def check(self, shape: NetworkShape) -> None:
        """Refuse a network that the engine cannot run; ``UserError`` names the limit."""
        check(shape, self.engine)

    def cycles(self, shape: NetworkShape) -> int:
        """Cycles per image, by the timing model."""
        memory = MemoryTiming(self.board.bytes_per_cycle(), self.board.memory.latency_cycles)
        return predict(shape, self.engine, memory, unit_latencies(self.engine)).cycles

    def frames_per_second(self, cycles: float) -> float:
        """Return the frame rate at the board's clock."""
        return self.board.frames_per_second(cycles)

    def cycle_limit(self, target_fps: float) -> float:
        """Most cycles per image at which a frame rate is reached."""
        return self.board.clock_hz / target_fps


class SubnetCost:
    """Cycles of the subnets of a space, remembered: a search asks for the same ones again.

    Parameters
    ----------
    hardware : Hardware
    space : Space
    order : TileOrder
        Ranks the row tiles, as the trained supernet froze it.
    """

    def __init__(self, hardware: Hardware, space: Space, order: TileOrder = NATURAL_ORDER) -> None:
        self.hardware, self.space, self.order = hardware, space, order
        self._known: dict[Arch, float] = {}

    def __call__(self, arch: Arch) -> float:
        """Cycles per image; infinite where the engine refuses the subnet."""
        if arch not in self._known:
            self._known[arch] = self._predict(arch)
        return self._known[arch]

    def _predict(self, arch: Arch) -> float:
        shape = self.space.shape(arch, self.order)
        try:
            self.hardware.check(shape)
        except UserError:
            return inf
        return self.hardware.cycles(shape)
