"""The load unit in the timing model: LOADs become commands, commands bursts, beats writes.

What :mod:`rtl.memory.load.unit` does, burst by burst. A burst is asked for when the buffer has room
for all of it; beats leave the buffer as the loaders write. All times are clock cycles of the RTL.
"""

from rtl.compiler.tiles import divide_up
from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.timing.port import BUFFER_CYCLES, BURST_CYCLES, NEVER, ROOM_CYCLES, Extent, Memory

LOAD_ROOM = 256  # beats; rtl.memory.reader.Reader.ROOM
LOADS_AHEAD = 8  # rtl.memory.load.unit.LoadUnit.AHEAD


class Loads:
    """The load unit's client: instructions become commands, commands bursts.

    Parameters
    ----------
    engine : EngineConfig
    check, gap, queue : int
        Cycles: ``LoadCheck.LATENCY``, ``LoadUnit.CYCLES``, latency of a queue.
    """

    def __init__(self, engine: EngineConfig, check: int, gap: int, queue: int):
        self.beat_bytes = engine.memory_bytes
        self.check = check
        self.queue = queue
        self.loaders = Loaders(engine, gap)
        self.waiting: list[tuple[float, dict[str, int]]] = []  # taken, operands; at most two
        self.extent: Extent | None = None  # of the command that is being cut into bursts
        self.earliest = 0.0  # choice of the next burst, or the next command
        self.issued = 0  # beats
        self.left: list[tuple[int, int, float, float]] = []  # total, beats, first, last: see issue
        self.oldest = 0  # of those that matter
        self.entered: list[float] = []  # when each LOAD entered the loaders' queue

    def take(self, cycle: float, operands: dict[str, int]) -> None:
        """Accept an instruction."""
        self.waiting.append((cycle, operands))
        self._command()

    def ready(self) -> float:
        """Earliest cycle in which an instruction can be accepted; NEVER if unknown."""
        if self.waiting:
            return NEVER
        return self.entered[-1] + 1 if self.entered else 0.0

    def _command(self) -> None:
        """Hand the next command to the reader, if the one before has all its bursts."""
        if self.extent is not None or not self.waiting:
            return
        taken, operands = self.waiting.pop(0)
        at = max(taken + self.check - 2, self.earliest - 1)
        entered, ahead = at + 1, len(self.entered) - LOADS_AHEAD
        if ahead >= 0:
            entered = max(entered, self.loaders.finished[ahead] + 1)
        self.entered.append(entered)
        self.extent = Extent(operands["offset"], operands["bytes"], self.beat_bytes)
        self.earliest = at + BURST_CYCLES
        self.loaders.begin(operands, self.extent.left, entered + self.queue)

    def candidate(self) -> float:
        """Earliest choice of the next burst; NEVER if there is none."""
        if self.extent is None:
            return NEVER
        needed = self.issued + self.extent.burst - LOAD_ROOM
        if needed <= 0:
            return self.earliest
        while self.left[self.oldest][0] < needed:
            self.oldest += 1
        total, beats, first, last = self.left[self.oldest]
        if total > needed:
            last -= (total - needed) * (last - first) / (beats - 1)
        return max(self.earliest, last + ROOM_CYCLES)

    def issue(self, chosen: float, memory: Memory) -> float | None:
        """Read the next burst; the cycle of the instruction's last write if that ends it."""
        extent = self.extent
        assert extent is not None
        beats = extent.burst
        first, last = memory.burst(chosen, beats)
        extent.advance()
        self.issued += beats
        self.earliest = chosen + 1
        buffer = self.queue + BUFFER_CYCLES
        first, last = self.loaders.consume(first + buffer, last + buffer, beats)
        # The buffer's beats up to ``issued`` leave it, the latest ones evenly from first to last.
        self.left.append((self.issued, beats, first, last))
        if extent.left:
            return None
        self.extent = None
        end = self.loaders.finish()
        self._command()
        return end


class Loaders:
    """Takes beats out of the load unit's buffer and writes them, one LOAD after the other.

    Parameters
    ----------
    engine : EngineConfig
    gap : int
        Cycles in which a loader sets its counters.
    """

    def __init__(self, engine: EngineConfig, gap: int):
        self.engine = engine
        self.gap = gap
        self.finished: list[float] = []  # cycle of each LOAD's last write
        self.busy = 0.0
        self._ready = 0.0  # when the next beat can be taken
        self._end = 0.0  # of what was written so far

    def begin(self, operands: dict[str, int], beats: int, seen: float) -> None:
        """Begin a LOAD of ``beats``, which the loaders see from a cycle on."""
        target = operands["target"]
        free = max(self.finished[-1] + 1, seen) if self.finished else seen
        self.busy -= free
        self._words = self._word_count(operands, beats) / beats  # written per beat
        self._cut = target in (Target.PIXELS, Target.GELU)
        self._step = max(1.0, self._words)
        self._held = self._step if target == Target.RESIDUAL else 0.0  # a register more
        self._late = float(self._cut or target == Target.RESIDUAL)  # another one
        self._ready = free + self.gap
        self._begun = False

    def _word_count(self, operands: dict[str, int], beats: int) -> int:
        """Words of the scratchpad, or its parts that a beat fills."""
        size, target = operands["bytes"], operands["target"]
        if target == Target.GELU:
            return size
        if target == Target.PIXELS:
            segment = operands["segment_bytes"]
            return size // segment * divide_up(segment, self.engine.depth_lanes)
        if target == Target.RESIDUAL:
            return size // self.engine.residual_word_bytes
        return beats

    def consume(self, first: float, last: float, beats: int) -> tuple[float, float]:
        """Take a burst's beats, which are there from first to last; when they are taken."""
        start = max(first, self._ready)
        if self._cut:
            # A cutter holds two beats, whose words are written from the next cycle on.
            if not self._begun:
                self._end, self._begun = start, True
            self._end = max(self._end + beats * self._words, last + 1 + self._words)
            stop = max(last, self._end - 2 * self._words, start + beats - 1)
            self._ready = stop + 1
        else:
            stop = max(last, start + (beats - 1) * self._step)
            self._ready = stop + self._step
            self._end = stop + self._held
        return start, stop

    def finish(self) -> float:
        """End the LOAD; the cycle of its last write."""
        end = self._end + self._late
        self.finished.append(end)
        self.busy += end + 1
        return end
