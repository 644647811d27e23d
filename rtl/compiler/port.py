"""The memory port in the timing model: bursts of the program and of LOADs, and where beats go.

What :mod:`rtl.memory.dma` and :mod:`rtl.memory.load` do, burst by burst. A client's burst is
issued when its buffer has room for it, the program's before a LOAD's; memory answers all bursts
in their order. Beats leave the program's buffer as instructions are decoded, and the load unit's
as its loaders write. Cycles are those of the RTL.
"""

from dataclasses import dataclass
from typing import NamedTuple

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
        first = max(chosen + self.latency, self.last + 1)
        if self.interval == 1:
            self.last = first + beats - 1
            return first, self.last
        saved = SAVED_BEATS * self.interval
        first = max(first, self.paid - saved)
        due = max(first, self.paid)
        self.paid = due + beats * self.interval
        self.last = max(first + beats - 1, self.paid - self.interval - saved)
        return first, self.last


class Extent:
    """What a command has still to read, in beats: the next burst ends with a block of memory."""

    __slots__ = ("beat", "left")

    def __init__(self, address: int, size: int, beat_bytes: int):
        self.beat = address // beat_bytes
        self.left = -(-(address + size) // beat_bytes) - self.beat

    def next(self) -> int:
        """Beats of the next burst."""
        return min(self.left, BURST_BEATS - self.beat % BURST_BEATS)

    def advance(self, beats: int) -> None:
        self.beat += beats
        self.left -= beats


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
        self.word = -1.0  # cycle of the latest instruction, decoded
        self.inside = 0  # instructions of the latest beat that are still there

    def candidate(self) -> float:
        """Earliest choice of the next burst; NEVER if unknown."""
        if not self.extent.left:
            return NEVER
        needed = self.issued + self.extent.next() - PROGRAM_ROOM
        if needed > len(self.taken):
            return NEVER
        return max(self.earliest, self.taken[needed - 1] + 1) if needed > 0 else self.earliest

    def issue(self, chosen: float, memory: Memory) -> None:
        """Read the next burst."""
        beats = self.extent.next()
        first, last = memory.burst(chosen, beats)
        step = (last - first) / (beats - 1) if beats > 1 else 0
        at = first + self.queue
        self.buffered += [at + i * step for i in range(beats)]
        self.extent.advance(beats)
        self.issued += beats
        self.earliest = chosen + 1

    def decodable(self) -> float:
        """Earliest cycle in which the next instruction can be decoded; NEVER if unknown."""
        if self.inside:
            return self.word + 1
        done = len(self.taken)
        if done + self.beats > len(self.buffered):
            return NEVER
        at = self.word - 1
        for i in range(done, done + self.beats):
            at = max(at + 1, self.buffered[i])
        return at + 1

    def decode(self, cycle: float) -> None:
        """Decode the next instruction: its beats leave the buffer."""
        if self.inside:
            self.inside -= 1
        else:
            at = self.word - 1
            for i in range(len(self.taken), len(self.taken) + self.beats):
                at = max(at + 1, self.buffered[i])
                self.taken.append(at)
            self.inside = self.per_beat - 1
        self.word = cycle


class Consumed(NamedTuple):
    """Beats up to ``total`` have left the load unit's buffer, the latest ``beats`` of them evenly
    from ``first`` to ``last``."""

    total: int
    beats: int
    first: float
    last: float


class Loads:
    """The load unit: its client of the reader, and its loaders.

    Parameters
    ----------
    engine : EngineConfig
    check, gap, queue : int
        ``LoadCheck.LATENCY``, ``LoadUnit.CYCLES``, latency of a queue.
    """

    def __init__(self, engine: EngineConfig, check: int, gap: int, queue: int):
        self.engine = engine
        self.check = check
        self.gap = gap
        self.queue = queue
        self.commands: list[tuple[float, dict[str, int]]] = []  # taken, operands
        self.extent: Extent | None = None  # of the command that is being cut into bursts
        self.next_command = 0
        self.earliest = 0.0  # choice of the next burst
        self.issued = 0
        self.consumed: list[Consumed] = []
        self.oldest = 0  # of those that matter
        self.transfers: list[float] = []  # cycle in which each LOAD entered the loaders' queue
        self.finished: list[float] = []  # cycle of each LOAD's last write
        self.busy = 0.0
        self._begin = -1.0  # of the current LOAD's first beat
        self._end = 0.0  # of what has been taken or written so far

    def take(self, cycle: float, operands: dict[str, int]) -> None:
        """Accept an instruction."""
        self.commands.append((cycle, operands))
        self._command()

    def ready(self) -> float:
        """Earliest cycle in which an instruction can be accepted; NEVER if unknown."""
        if not self.commands:
            return 0.0
        if len(self.transfers) < len(self.commands):
            return NEVER
        return self.transfers[-1] + 1

    def _command(self) -> None:
        """Hand the next command to the reader, if the one before has all its bursts."""
        if self.extent is not None or self.next_command == len(self.commands):
            return
        taken, operands = self.commands[self.next_command]
        self.next_command += 1
        at = max(taken + self.check - 2, self.earliest)
        entered = at + 1
        if len(self.transfers) >= LOADS_AHEAD:
            entered = max(entered, self.finished[len(self.transfers) - LOADS_AHEAD] + 1)
        self.transfers.append(entered)
        self.extent = Extent(operands["offset"], operands["bytes"], self.engine.memory_bytes)
        self.earliest = at + 1
        self._total = self.extent.left
        self._prepare(operands)

    def candidate(self) -> float:
        """Earliest choice of the next burst; NEVER if there is none."""
        if self.extent is None:
            return NEVER
        needed = self.issued + self.extent.next() - LOAD_ROOM
        if needed <= 0:
            return self.earliest
        while self.consumed[self.oldest].total < needed:
            self.oldest += 1
        total, beats, first, last = self.consumed[self.oldest]
        if total > needed:
            last -= (total - needed) * (last - first) / (beats - 1)
        return max(self.earliest, last + 1)

    def issue(self, chosen: float, memory: Memory) -> float | None:
        """Read the next burst; the cycle of the instruction's last write if that ends it."""
        extent = self.extent
        assert extent is not None
        beats = extent.next()
        first, last = memory.burst(chosen, beats)
        extent.advance(beats)
        self.issued += beats
        self.earliest = chosen + 1
        self._consume(first + self.queue, last + self.queue, beats)
        if extent.left:
            return None
        self.extent = None
        end = self._finish()
        self._command()
        return end

    # ------------------------------------------------------------ loaders

    def _prepare(self, operands: dict[str, int]) -> None:
        """Set the current LOAD's rates: words of its loader per beat of memory."""
        engine, target, size = self.engine, operands["target"], operands["bytes"]
        free = self.finished[-1] + 1 if self.finished else 0.0
        seen = self.transfers[-1] + self.queue
        self._cut = target in (Target.PIXELS, Target.GELU)
        self._words = self._total
        if target == Target.RESIDUAL:
            self._words = size // engine.residual_word_bytes
            self._ready = max(free, seen)
        else:
            self._ready = max(free, seen) + self.gap
            if target == Target.GELU:
                self._words = size
            elif target == Target.PIXELS:
                segment = operands["segment_bytes"]
                self._words = size // segment * -(-segment // engine.depth_lanes)
        self._rate = self._words / self._total
        self._through = target == Target.RESIDUAL  # a word is held for a cycle
        self._first_burst = True
        self.busy -= max(free, seen)

    def _consume(self, first: float, last: float, beats: int) -> None:
        """Let the loader take a burst's beats, which can leave the buffer from first to last."""
        start = max(first, self._ready)
        rate = self._rate
        if self._cut:
            # Two beats are held while their words are written one by one.
            if self._first_burst:
                self._end = start
            self._end = max(self._end + beats * rate, last + 1 + rate)
            stop = max(last, self._end - 2 * rate, start + beats - 1)
            self._ready = stop + 1
        else:
            stop = max(last, start + (beats - 1) * max(1.0, rate))
            self._ready = stop + max(1.0, rate)
            self._end = stop + (max(1.0, rate) if self._through else 0)
        self._first_burst = False
        total = self.consumed[-1].total if self.consumed else 0
        self.consumed.append(Consumed(total + beats, beats, start, stop))

    def _finish(self) -> float:
        self.finished.append(self._end)
        self.busy += self._end + 1
        return self._end
