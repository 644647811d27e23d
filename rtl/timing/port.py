"""The memory port in the timing model: when beats arrive, and how the program is read.

Follows :mod:`rtl.memory.reader` burst by burst. A burst is issued when its client's buffer has room
for all of it, the program's before a LOAD's (:mod:`rtl.timing.loads`); memory answers bursts in the
order in which they were issued. Beats leave the program's buffer as instructions are decoded
(:mod:`rtl.timing.fetch`). All times are clock cycles of the RTL.
"""

from dataclasses import dataclass
from math import inf

from rtl.compiler.tiles import divide_up
from rtl.isa.instructions import INSTRUCTION_BYTES

BURST_BEATS = 16  # rtl.memory.axi.BURST_BEATS
PROGRAM_ROOM = 32  # beats; rtl.memory.reader.Reader.ROOM
BURST_CYCLES = 4  # from a command to its first burst; rtl.memory.bursts.Burster.LATENCY
ROOM_CYCLES = 3  # from a beat that is taken to a burst that waits for its room; the same
BUFFER_CYCLES = 2  # of a client's buffer behind its queue; rtl.memory.reader.BeatBuffer
WRITES_IN_FLIGHT = 16  # bursts; rtl.memory.writer.Writer.OUTSTANDING
READ_CYCLES = 2  # from a burst's choice to its first beat, without the memory's latency
SAVED_BEATS = 3  # that an idle memory may send without a pause, beyond its bandwidth
NEVER = float("inf")  # a time that is not known yet
OFFSETS = tuple(map(float, range(BURST_BEATS)))  # of a burst's beats without a pause


@dataclass(frozen=True)
class MemoryTiming:
    """The external memory as the engine sees it.

    Parameters
    ----------
    bytes_per_cycle : float
        Sustained bandwidth, reads and writes together.
    latency_cycles : int
        Cycles from a read's address to its first data.
    answer_cycles : int, optional
        Cycles from a write's last beat to its answer; by default as many as a read's.
    written_per_cycle : float
        Bytes that can be written in a cycle, where a narrower port than the engine's is written to.
    """

    bytes_per_cycle: float = 16.0
    latency_cycles: int = 100
    answer_cycles: int | None = None
    written_per_cycle: float = inf


class MemoryPort:
    """Memory port: computes when the beats of successive bursts arrive.

    Parameters
    ----------
    timing : MemoryTiming
    beat_bytes : int
        Width of the port in bytes.

    Attributes
    ----------
    latency : int
        Cycles from the choice of a burst to its first beat.
    cost : float
        Cycles in which the bandwidth for a beat is earned.
    interval : float
        Cycles from one beat to the next that the bandwidth sustains, at least 1.
    saved : float
        Cycles of bandwidth that an idle memory saves for the beats that follow.
    last : float
        Cycle of the latest beat.
    paid : float
        When the bandwidth that was used is earned again.
    """

    def __init__(self, timing: MemoryTiming, beat_bytes: int):
        self.latency = READ_CYCLES + timing.latency_cycles
        self.cost = beat_bytes / timing.bytes_per_cycle
        self.interval = max(1.0, self.cost)
        self.saved = SAVED_BEATS * self.interval
        self.last = -1.0
        self.paid = 0.0

    def burst(self, chosen: float, beats: int) -> tuple[float, float]:
        """Read a burst that was chosen in a cycle; when its first and last beat arrive."""
        first = chosen + self.latency
        if first <= self.last:
            first = self.last + 1
        if self.interval == 1:
            self.last = first + beats - 1
        else:
            first, self.last = self.send(first, beats)
        return first, self.last

    def send(self, first: float, beats: int) -> tuple[float, float]:
        """Send beats from ``first`` on, as the bandwidth allows; when the first and last go."""
        interval = self.interval
        if interval == 1:
            return first, first + beats - 1
        first = max(first, self.paid - self.saved)
        self.paid = max(first, self.paid) + beats * interval
        return first, max(first + beats - 1, self.paid - interval - self.saved)

    def steady(self, chosen: float, ready: float) -> float | None:
        """Find the cycle from which beats arrive ``interval`` apart, burst after burst.

        None if they will not: because the bandwidth that an idle memory has saved is not used up,
        or because whoever takes the beats holds them back.

        Parameters
        ----------
        chosen : float
            When the first burst is chosen; all others are chosen before the port is free.
        ready : float
            Cycle from which the beats can be taken.
        """
        first = chosen + self.latency
        if first <= self.last:
            first = self.last + 1
        if self.interval == 1:
            return first
        earned = self.paid - self.saved
        return earned if first <= earned >= ready else None

    def burst_steadily(self, first: float, beats: int, latest: float) -> None:
        """Send the beats of successive bursts, the latest a whole one that was chosen in a cycle.

        From ``first`` on, as :meth:`steady` says, unless bursts were chosen later than that.
        """
        if self.interval != 1:
            self.paid += beats * self.interval
        last, behind = first + (beats - 1) * self.interval, latest + self.latency + BURST_BEATS - 1
        self.last = last if last > behind else behind

    def wait_of(self, at: float) -> float:
        """Find how long before cycle ``at`` a burst is chosen whose first beat comes then.

        Longer than the memory's latency where others come before; of a narrow memory, whose
        bandwidth :meth:`write` takes from these, that does not matter.
        """
        return at if self.interval == 1 and at <= self.last + 1 else self.latency

    def write(self, first: float, beats: int, pace: int = 1) -> float:
        """Write beats from cycle ``first`` on, and return the cycle of the last one.

        A write goes before all reads that wait: only what was sent before is paid for first.

        Parameters
        ----------
        first : float
        beats : int
        pace : int
            Cycles from one beat to the next that the writer needs.
        """
        last = first + (beats - 1) * pace
        if self.interval == 1:
            # Of the cycles meanwhile, those in which the bandwidth does not suffice for a read too.
            lost = beats * (pace + 1 - pace / self.cost)
            if lost > 0:
                self.last = max(self.last, first - 1) + lost
            return last
        if self.paid <= first:
            return max(last, self.send(first, beats)[1])
        self.paid += beats * self.interval
        return max(last, first + (beats - 1) * self.interval)


def beats_of(address: int, size: int, beat_bytes: int) -> tuple[int, int]:
    """Find the beats that hold ``size`` bytes: address of the first, in beats, and their number."""
    first = address // beat_bytes
    return first, divide_up(address + size, beat_bytes) - first


class ReadExtent:
    """The rest of a command, in beats that are to be read.

    A burst ends with its block of ``BURST_BEATS`` aligned beats, so that none crosses 4 KB.

    Parameters
    ----------
    beat, beats : int
        Address of the first one, counted in beats, and how many these are.

    Attributes
    ----------
    left : int
        Beats that are left.
    burst : int
        Length of the next burst in beats; 0 at the end.
    """

    __slots__ = ("burst", "left")

    def __init__(self, beat: int, beats: int):
        self.left = beats
        self.burst = min(beats, BURST_BEATS - beat % BURST_BEATS)

    def advance(self, beats: int) -> None:
        """Step over ``beats``, those of the next burst or of several."""
        self.left = left = self.left - beats
        self.burst = left if left < BURST_BEATS else BURST_BEATS


class ProgramReader:
    """The fetcher's buffer: reads the program burst by burst, for one image.

    Parameters
    ----------
    address : int
        First byte of the program.
    instructions : int
        Length of the program.
    beat_bytes : int
        Width of the port in bytes.
    requested : float
        Cycle of the command.
    queue : int
        Latency of the buffer's queue in cycles.

    Attributes
    ----------
    buffered : list of float
        Cycle in which each beat can leave the buffer, as far as they are known.
    taken : list of float
        Cycle in which each of the first beats leaves it, as far as they are known.
    """

    def __init__(
        self, address: int, instructions: int, beat_bytes: int, requested: float, queue: int
    ):
        size = instructions * INSTRUCTION_BYTES
        self.extent = ReadExtent(*beats_of(address, size, beat_bytes))
        self.buffer = queue + BUFFER_CYCLES
        self.issued = 0  # beats
        self.earliest = float(requested + BURST_CYCLES)  # choice of the next burst
        self.buffered: list[float] = []
        self.taken: list[float] = []

    def candidate(self) -> float:
        """Find the earliest choice of the next burst; NEVER if unknown."""
        if not self.extent.left:
            return NEVER
        needed = self.issued + self.extent.burst - PROGRAM_ROOM
        if needed > len(self.taken):
            return NEVER
        if needed <= 0:
            return self.earliest
        room = self.taken[needed - 1] + ROOM_CYCLES
        return room if room > self.earliest else self.earliest

    def issue(self, chosen: float, memory: MemoryPort) -> None:
        """Read the next burst."""
        beats = self.extent.burst
        first, last = memory.burst(chosen, beats)
        at = float(first + self.buffer)
        if last - first == beats - 1:
            self.buffered += map(at.__add__, OFFSETS[:beats])
        else:
            step = (last - first) / (beats - 1)
            self.buffered += [at + i * step for i in range(beats)]
        self.extent.advance(beats)
        self.issued += beats
        self.earliest = chosen + 1

    def take(self, beat: int, stop: int, at: float) -> float:
        """Take beats from a cycle on, one per cycle; returns the cycle after the last one.

        Parameters
        ----------
        beat, stop : int
            The first one's number, and the last one's plus 1; all of them are buffered. Of beats
            that were taken before, the times stay.
        at : float
        """
        buffered, taken = self.buffered, self.taken
        if len(taken) >= stop:
            return taken[stop - 1] + 1
        while beat < stop:
            if buffered[beat] > at:
                at = buffered[beat]
            taken.append(at)
            at += 1
            beat += 1
        return at
