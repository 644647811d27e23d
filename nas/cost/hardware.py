"""A board with an engine on it: what a network costs there, and whether it fits at all."""

from dataclasses import dataclass
from math import inf

from rtl import config
from rtl.board import Board, load_board
from rtl.compiler import Program, lower, plan
from rtl.compiler.image import MemoryMap
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model.shape import NetworkShape
from rtl.timing import MemoryTiming, simulate
from rtl.timing.bound import least_cycles
from rtl.timing.latencies import unit_latencies


@dataclass(frozen=True)
class HardwareTarget:
    """A board with the engine on it.

    Parameters
    ----------
    board : Board
    engine : EngineConfig
    """

    board: Board
    engine: EngineConfig

    @classmethod
    def load(cls, board: str, engine: str | None = None) -> "HardwareTarget":
        """Look a board up, with its default engine or another one.

        Raises
        ------
        UserError
            If there is no such board or engine.
        """
        found = load_board(board)
        return cls(found, config.engine(engine or found.engine))

    @property
    def is_default(self) -> bool:
        """Whether the engine is the board's own."""
        return self.engine == config.engine(self.board.engine)

    def at(self, clock_hz: int) -> "HardwareTarget":
        """Return the target at another clock, where memory gives other bytes per cycle."""
        return HardwareTarget(self.board.model_copy(update={"clock_hz": clock_hz}), self.engine)

    @property
    def memory(self) -> MemoryTiming:
        """The board's memory as the engine sees it."""
        return MemoryTiming(self.board.bytes_per_cycle(), self.board.memory.latency_cycles)

    def compile(self, shape: NetworkShape) -> Program:
        """Compile a network without weights; ``UserError`` names the limit that refuses it."""
        return lower(plan(shape, self.engine))

    def require_memory(self, program: Program) -> None:
        """Check that the board's memory holds a network and one image.

        Raises
        ------
        UserError
            If they are larger: names both sizes.
        """
        self.board.require_memory(MemoryMap.of(program).least_bytes)

    def least_cycles(self, shape: NetworkShape) -> float:
        """Bound the cycles per image from below, without a program; infinite if it is refused."""
        try:
            return least_cycles(plan(shape, self.engine), self.memory)
        except UserError:
            return inf

    def cycles(self, program: Program) -> int:
        """Predict the cycles per image of a program, by the exact timing model."""
        return simulate(program, self.memory, unit_latencies(self.engine)).cycles

    def cycle_limit(self, target_fps: float) -> float:
        """Most cycles per image at which a frame rate is reached."""
        return self.board.clock_hz / target_fps
