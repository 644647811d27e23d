"""The memory port in the timing model: bursts of the program and of LOADs, and where beats go.

What :mod:`rtl.memory.dma` and :mod:`rtl.memory.load` do, burst by burst. A client's burst is
issued when its buffer has room for it, the program's before a LOAD's; memory answers all bursts
in their order. Beats leave the program's buffer as instructions are decoded, and the load unit's
as its loaders write. Cycles are those of the RTL.
"""

from dataclasses import dataclass

from rtl.config import EngineConfig
from rtl.control.isa import INSTRUCTION_BYTES, Target

BURST_BEATS = 16  # rtl.memory.axi.BURST_BEATS
PROGRAM_ROOM, LOAD_ROOM = 32, 256  # rtl.memory.dma.Reader.ROOM
LOADS_AHEAD = 8  # rtl.memory.load.LoadUnit.AHEAD
READ_CYCLES = 2  # from a burst's choice to its first beat, without the memory's latency
SAVED_BEATS = 3  # that an idle memory may send without a pause, beyond its bandwidth
NEVER = float("inf")


@dataclass(frozen=True)
class MemoryTiming:
    """The external memory as the engine sees it.

    Parameters
    ----------
    bytes_per_cycle : float
        Sustained, reads and writes together.
    latency_cycles : int
        From a read's address to its first data.
    """

    bytes_per_cycle: float = 16.0
    latency_cycles: int = 100


class Memory:
    """When the beats of successive bursts arrive.

    Parameters
    ----------
    timing : MemoryTiming
    beat_bytes : int
    """

    def __init__(self, timing: MemoryTiming, beat_bytes: int):
        self.latency = READ_CYCLES + timing.latency_cycles
        self.interval = max(1.0, beat_bytes / timing.bytes_per_cycle)
        self.last = -1.0  # cycle of the latest beat
        self.paid = 0.0  # when the bandwidth that was used is earned again

    def burst(self, chosen: float, beats: int) -> tuple[float, float]:
        """Cycles of the first and last beat of a burst that was chosen in a cycle."""
        first = chosen + self.latency
        if first <= self.last:
            first = self.last + 1
        first, self.last = self.send(first, beats)
        return first, self.last

    def send(self, first: float, beats: int) -> tuple[float, float]:
        """Cycles of the first and last of successive beats, from ``first`` on, by the bandwidth."""
        interval = self.interval
        if interval == 1:
            return first, first + beats - 1
        saved = SAVED_BEATS * interval
        first = max(first, self.paid - saved)
        self.paid = max(first, self.paid) + beats * interval
        return first, max(first + beats - 1, self.paid - interval - saved)


class Extent:
    """What a command has still to read, in beats: a burst ends with its block of memory.

    ``burst`` is the next one's length, 0 at the end.
    """

    __slots__ = ("beat", "burst", "left")

    def __init__(self, address: int, size: int, beat_bytes: int):
        self.beat = address // beat_bytes
        self.left = -(-(address + size) // beat_bytes) - self.beat
        self.burst = min(self.left, BURST_BEATS - self.beat % BURST_BEATS)

    def advance(self) -> None:
        """Go on behind the next burst."""
        self.beat += self.burst
        self.left -= self.burst
        self.burst = min(self.left, BURST_BEATS)


class ProgramReads:
    """The fetcher's client: beats become instructions, which are decoded one by one.

    Parameters
    ----------
    address, instructions : int
    beat_bytes : int
    requested : float
        Cycle of the command.
    queue : int
        Latency of the buffer.
    """

    def __init__(
        self, address: int, instructions: int, beat_bytes: int, requested: float, queue: int
    ):
        self.extent = Extent(address, instructions * INSTRUCTION_BYTES, beat_bytes)
        self.per_beat = max(1, beat_bytes // INSTRUCTION_BYTES)
        self.beats = max(1, INSTRUCTION_BYTES // beat_bytes)
        self.queue = queue
        self.issued = 0
        self.earliest = requested + 1  # choice of the next burst
        self.buffered: list[float] = []  # cycle in which each beat can leave the buffer
        self.taken: list[float] = []  # cycle in which it leaves
        self.leaving: list[float] = []  # the same for the beats of the next instruction
        self.word = 0.0  # cycle in which the latest instruction is decoded
        self.inside = 0  # instructions of the latest beat that are still there

    def candidate(self) -> float:
        """Earliest choice of the next burst; NEVER if unknown."""
        if not self.extent.left:
            return NEVER
        needed = self.issued + self.extent.burst - PROGRAM_ROOM
        if needed > len(self.taken):
            return NEVER
        return max(self.earliest, self.taken[needed - 1] + 1) if needed > 0 else self.earliest

    def issue(self, chosen: float, memory: Memory) -> None:
        """Read the next burst."""
        beats = self.extent.burst
        first, last = memory.burst(chosen, beats)
        step = (last - first) / (beats - 1) if beats > 1 else 0
        at = first + self.queue
        self.buffered += [at + i * step for i in range(beats)]
        self.extent.advance()
        self.issued += beats
        self.earliest = chosen + 1

    def decodable(self) -> float:
        """Earliest cycle in which the next instruction can be decoded; NEVER if unknown."""
        if self.inside:
            return self.word + 1
        leaving, buffered = self.leaving, self.buffered
        at = leaving[-1] + 1 if leaving else self.word
        beat = len(self.taken) + len(leaving)
        while len(leaving) < self.beats:
            if beat == len(buffered):
                return NEVER
            if buffered[beat] > at:
                at = buffered[beat]
            leaving.append(at)
            at += 1
            beat += 1
        return at

    def decode(self, cycle: float) -> None:
        """Decode the next instruction: its beats leave the buffer."""
        if self.inside:
            self.inside -= 1
        else:
            self.taken += self.leaving
            self.leaving.clear()
            self.inside = self.per_beat - 1
        self.word = cycle


class Loads:
    """The load unit's client: instructions become commands, commands bursts.

    Parameters
    ----------
    engine : EngineConfig
    check, gap, queue : int
        ``LoadCheck.LATENCY``, ``LoadUnit.CYCLES``, latency of a queue.
    """

    def __init__(self, engine: EngineConfig, check: int, gap: int, queue: int):
        self.beat_bytes = engine.memory_bytes
        self.check = check
        self.queue = queue
        self.loaders = Loaders(engine, gap)
        self.waiting: list[tuple[float, dict[str, int]]] = []  # taken, operands; at most two
        self.extent: Extent | None = None  # of the command that is being cut into bursts
        self.earliest = 0.0  # choice of the next burst, or the next command
        self.issued = 0
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
        at = max(taken + self.check - 2, self.earliest)
        entered, ahead = at + 1, len(self.entered) - LOADS_AHEAD
        if ahead >= 0:
            entered = max(entered, self.loaders.finished[ahead] + 1)
        self.entered.append(entered)
        self.extent = Extent(operands["offset"], operands["bytes"], self.beat_bytes)
        self.earliest = at + 1
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
        return max(self.earliest, last + 1)

    def issue(self, chosen: float, memory: Memory) -> float | None:
        """Read the next burst; the cycle of the instruction's last write if that ends it."""
        extent = self.extent
        assert extent is not None
        beats = extent.burst
        first, last = memory.burst(chosen, beats)
        extent.advance()
        self.issued += beats
        self.earliest = chosen + 1
        first, last = self.loaders.consume(first + self.queue, last + self.queue, beats)
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
        self._ready = free if target == Target.RESIDUAL else free + self.gap
        self._begun = False

    def _word_count(self, operands: dict[str, int], beats: int) -> int:
        """Words of the scratchpad, or its parts that a beat fills."""
        size, target = operands["bytes"], operands["target"]
        if target == Target.GELU:
            return size
        if target == Target.PIXELS:
            segment = operands["segment_bytes"]
            return size // segment * -(-segment // self.engine.depth_lanes)
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
        self.finished.append(self._end)
        self.busy += self._end + 1
        return self._end
