"""The memory port in the timing model: when beats arrive, and what the program needs of it.

What :mod:`rtl.memory.reader` and the fetcher do, burst by burst. A client's burst is issued when
its buffer has room for it, the program's before a LOAD's (:mod:`rtl.timing.loads`); memory
answers all bursts in their order. Beats leave the program's buffer as instructions are decoded.
All times are clock cycles of the RTL.
"""

from dataclasses import dataclass

from rtl.compiler.sizes import divide_up
from rtl.isa.instructions import INSTRUCTION_BYTES

BURST_BEATS = 16  # rtl.memory.axi.BURST_BEATS
PROGRAM_ROOM = 32  # beats; rtl.memory.reader.Reader.ROOM
BURST_CYCLES = 4  # from a command to its first burst; rtl.memory.bursts.Burster.LATENCY
ROOM_CYCLES = 3  # from a beat that is taken to a burst that waits for its room; the same
BUFFER_CYCLES = 2  # of a client's buffer behind its queue; rtl.memory.reader.BeatBuffer
READ_CYCLES = 2  # from a burst's choice to its first beat, without the memory's latency
SAVED_BEATS = 3  # that an idle memory may send without a pause, beyond its bandwidth
NEVER = float("inf")  # a time that is not known yet


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
        Width of the port.
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

    def write(self, first: float, beats: int) -> float:
        """Cycle of the last of successive beats that are written from ``first`` on.

        A write goes before all reads that wait: only what was sent before is paid for first.
        """
        if self.paid <= first:
            return self.send(first, beats)[1]
        self.paid += beats * self.interval
        return first + (beats - 1) * self.interval


class Extent:
    """What a command has still to read, in beats.

    A burst ends with its block of ``BURST_BEATS`` aligned beats, so that none crosses 4 KB.

    Parameters
    ----------
    address, size : int
        In bytes.
    beat_bytes : int

    Attributes
    ----------
    beat : int
        Address of the next one, in beats.
    left : int
        Beats.
    burst : int
        Length of the next one in beats, 0 at the end.
    """

    __slots__ = ("beat", "burst", "left")

    def __init__(self, address: int, size: int, beat_bytes: int):
        self.beat = address // beat_bytes
        self.left = divide_up(address + size, beat_bytes) - self.beat
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
    address : int
        First byte of the program.
    instructions : int
    beat_bytes : int
    requested : float
        Cycle of the command.
    queue : int
        Latency of the buffer's queue in cycles.
    """

    def __init__(
        self, address: int, instructions: int, beat_bytes: int, requested: float, queue: int
    ):
        self.extent = Extent(address, instructions * INSTRUCTION_BYTES, beat_bytes)
        self.left = instructions  # to be decoded
        self.per_beat = max(1, beat_bytes // INSTRUCTION_BYTES)  # instructions
        self.beats = max(1, INSTRUCTION_BYTES // beat_bytes)  # per instruction
        self.buffer = queue + BUFFER_CYCLES
        self.issued = 0  # beats
        self.earliest = requested + BURST_CYCLES  # choice of the next burst
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
        if needed <= 0:
            return self.earliest
        return max(self.earliest, self.taken[needed - 1] + ROOM_CYCLES)

    def issue(self, chosen: float, memory: Memory) -> None:
        """Read the next burst."""
        beats = self.extent.burst
        first, last = memory.burst(chosen, beats)
        step = (last - first) / (beats - 1) if beats > 1 else 0
        at = first + self.buffer
        self.buffered += [at + i * step for i in range(beats)]
        self.extent.advance()
        self.issued += beats
        self.earliest = chosen + 1

    def decodable(self) -> float:
        """Earliest cycle in which the next instruction can be decoded; NEVER if unknown.

        Behind the last one nothing is decoded, though its beat may have room for another.
        """
        if not self.left:
            return NEVER
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
        self.left -= 1
        self.word = cycle
