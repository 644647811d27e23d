"""Selection of tokens beside the softmax unit: when importance and places are known.

A softmax that adds to the importance of keys leaves a row of weights behind, of which the unit
holds :data:`rtl.vector.importance.ROWS`; they are added one after the other. To the unit, SELECT is
an instruction of one beat. Its passes over the importance begin when all rows are added. Until its
places are written the unit takes no such softmax and no other SELECT, and the matmul unit nothing
that goes to KEPT.
"""

from collections import deque
from collections.abc import Mapping

from rtl.compiler.tiles import divide_up
from rtl.config import EngineConfig
from rtl.memory.ports import IMPORTANCE_LANES, selection_lanes
from rtl.timing.latencies import UnitLatencies
from rtl.vector.importance import ROWS
from rtl.vector.threshold import DIGITS


class SelectionTiming:
    """Importance and places of one engine.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies

    Attributes
    ----------
    over : float
        The cycle from which the latest SELECT's places are known.
    """

    def __init__(self, engine: EngineConfig, latencies: UnitLatencies):
        self.engine, self.latencies = engine, latencies
        self.over = 0.0
        self.added: deque[float] = deque([0.0] * ROWS, ROWS)  # when each of the latest rows is

    def row_cycles(self, operands: Mapping[str, int]) -> int:
        """Count the cycles in which a softmax's row is added; 0 where it adds none."""
        if not operands.get("importance", 0):
            return 0
        keys = min(operands["keys"], self.engine.select_tokens)
        return divide_up(keys, IMPORTANCE_LANES) + self.latencies.importance

    def select_cycles(self, operands: Mapping[str, int]) -> int:
        """Count the cycles of a SELECT: a pass for each digit, then all pairs of tokens."""
        words = divide_up(operands["patches"], selection_lanes(self.engine))
        pairs = divide_up(operands["patches"] + operands["others"], 2)
        return DIGITS * (words + self.latencies.select_pass) + pairs + self.latencies.select_rest

    def taken(self, at: float, selects: bool) -> float:
        """Find when the unit takes a SELECT or a softmax that adds a row, but not before ``at``."""
        at = max(at, self.over)
        return at if selects else max(at, self.added[0] + 1)

    def follow(self, landed: float, cycles: int, selects: bool) -> None:
        """Do what follows an instruction that has passed through the unit: it takes ``cycles``."""
        if selects:  # begins in the cycle after
            self.over = max(landed, self.added[-1] + 1) + cycles
        else:
            self.added.append(max(landed, self.added[-1]) + cycles)
