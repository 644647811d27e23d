"""The load unit in the timing model: LOADs become commands, commands bursts, beats writes.

Follows :mod:`rtl.memory.load.unit` burst by burst. A burst is issued when the buffer has room for
all of it; beats leave the buffer as the loaders write. All times are clock cycles of the RTL.
"""

from typing import NamedTuple

from rtl.compiler.operations import Operation
from rtl.compiler.tiles import divide_up
from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.timing.latencies import UnitLatencies
from rtl.timing.port import (
    BUFFER_CYCLES,
    BURST_BEATS,
    BURST_CYCLES,
    NEVER,
    ROOM_CYCLES,
    MemoryPort,
    ReadExtent,
    beats_of,
)

LOAD_ROOM = 256  # beats; rtl.memory.reader.Reader.ROOM
LOADS_AHEAD = 8  # rtl.memory.load.unit.LoadUnit.AHEAD

Departure = tuple[int, int, float, float]
"""A burst's beats, or those of several, leaving the buffer evenly: the number of the last one among
all beats, how many they are, when the first one leaves, when the last one does."""


class LoadCost(NamedTuple):
    """Cost of a LOAD, worked out once for all images.

    Parameters
    ----------
    beat, beats : int
        Address of the first one, counted in beats, and how many these are.
    words : float
        Words of the scratchpad, or parts of words, that a beat fills.
    step : float
        Cycles from a beat that a loader takes to the next one.
    held : float
        Cycles from the last beat that a loader takes to the write of its last word.
    late : float
        Cycles that a register behind the loader adds to that.
    cut : bool
        Whether a cutter makes the words.
    """

    beat: int
    beats: int
    words: float
    step: float
    held: float
    late: float
    cut: bool


def load_cost(operands: dict[str, int], engine: EngineConfig) -> LoadCost:
    """Work out what a LOAD takes."""
    size, target = operands["bytes"], operands["target"]
    beat, beats = beats_of(operands["offset"], size, engine.memory_bytes)
    words = beats
    if target == Target.GELU:
        words = size
    elif target == Target.PIXELS:
        segment = operands["segment_bytes"]
        words = size // segment * divide_up(segment, engine.depth_lanes)
    elif target == Target.RESIDUAL:
        words = size // engine.residual_word_bytes
    step = max(1.0, words / beats)
    cut = target in (Target.PIXELS, Target.GELU)
    residual = target == Target.RESIDUAL  # a register more
    return LoadCost(beat, beats, words / beats, step, step * residual, float(cut or residual), cut)


class LoadTiming:
    """The load unit: turns instructions into commands, and commands into bursts.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
    memory : MemoryPort
        Shared with STORE and the fetcher.

    Attributes
    ----------
    free : float
        Cycle from which it can take its next instruction; NEVER while that is not known.
    candidate : float
        Earliest choice of the next burst; NEVER if there is none.
    """

    def __init__(self, engine: EngineConfig, latencies: UnitLatencies, memory: MemoryPort):
        self.engine = engine
        self.check = latencies.load_check
        self.queue = latencies.queue
        self.buffer = latencies.queue + BUFFER_CYCLES
        self.done = latencies.load_done
        self.memory = memory
        self.loaders = LoaderTiming(latencies.load_gap)
        self.free = 0.0
        self.waiting: LoadCost | None = None  # the next instruction, if it was taken ...
        self.taken = 0.0  # ... in this cycle
        self.extent = ReadExtent(0, 0)  # of the command that is being cut into bursts
        self.candidate = NEVER
        self.latest = -1.0  # choice of the latest burst
        self.issued = 0  # beats
        self.left: list[Departure] = []
        self.oldest = 0  # of the departures that matter
        self.left_last = -NEVER  # when the latest beat leaves
        self.uneven: list[tuple[int, int]] = []  # see _burst
        self.entered: list[float] = []  # when each LOAD entered the loaders' queue

    @property
    def busy(self) -> float:
        return self.loaders.busy

    def cost(self, operation: Operation) -> LoadCost:
        """Work out what a LOAD takes."""
        return load_cost(operation.operands, self.engine)

    def execute(self, cost: LoadCost, taken: float) -> float:
        """Take an instruction; returns NEVER, as its end is known with its last burst only."""
        if self.extent.left:
            self.waiting, self.taken, self.free = cost, taken, NEVER
        else:
            self._command(cost, taken)
        return NEVER

    def _command(self, cost: LoadCost, taken: float) -> None:
        """Hand a command to the reader, as the one before has all its bursts."""
        at = taken + self.check - 2
        if self.latest > at:
            at = self.latest
        entered, ahead = at + 1, len(self.entered) - LOADS_AHEAD
        if ahead >= 0 and self.loaders.finished[ahead] + 1 > entered:
            entered = self.loaders.finished[ahead] + 1
        self.entered.append(entered)
        self.free = entered + 1
        self.extent = ReadExtent(cost.beat, cost.beats)
        self.candidate = self._next_choice(at + BURST_CYCLES)
        self.loaders.begin(cost, entered + self.queue)

    def _next_choice(self, earliest: float) -> float:
        """Find when the next burst can be chosen: from a cycle on, and when there is room."""
        needed = self.issued + self.extent.burst - LOAD_ROOM
        if needed <= 0:
            return earliest
        left, oldest = self.left, self.oldest
        while left[oldest][0] < needed:
            oldest += 1
        self.oldest = oldest
        if left[oldest][3] + ROOM_CYCLES <= earliest:  # all of them leave in time
            return earliest
        room = self._leaves(needed) + ROOM_CYCLES
        return room if room > earliest else earliest

    def _leaves(self, beat: int) -> float:
        """Find when a beat that was read leaves the buffer; beats are counted from 1."""
        place = self.oldest
        while self.left[place][0] < beat:
            place += 1
        total, beats, first, last = self.left[place]
        return last if total == beat else last - (total - beat) * (last - first) / (beats - 1)

    def issue(self, chosen: float, limit: float) -> tuple[float, float | None]:
        """Choose bursts until the instruction is done, or until another client's turn comes.

        Parameters
        ----------
        chosen : float
            Cycle in which the first one is chosen.
        limit : float
            The cycle from which on another client's burst would be chosen.

        Returns
        -------
        chosen : float
            When the latest burst was.
        end : float or None
            When the instruction is done, if its last burst is among them.
        """
        extent, even = self.extent, self.loaders.even
        while True:
            several = even and extent.left > BURST_BEATS and limit > chosen + 1
            latest = self._steady_bursts(extent, chosen, limit) if several else None
            if latest is None:
                self._burst(extent, chosen)
            else:
                chosen = latest
            if not extent.left:
                break
            following = self._next_choice(chosen + 1)
            if following >= limit:
                self.candidate = following
                return chosen, None
            chosen = following
        end, self.latest, self.candidate = self.loaders.finish(), chosen, NEVER
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            self._command(waiting, self.taken)
        return chosen, end + self.done

    def _burst(self, extent: ReadExtent, chosen: float) -> None:
        """Read the next burst, chosen in a cycle."""
        beats, pace, buffer = extent.burst, self.memory.interval, self.buffer
        first, last = self.memory.burst(chosen, beats)
        first, last = self.loaders.consume(first + buffer, last + buffer, beats)
        extent.advance(beats)
        self.issued += beats
        slope = (last - first) / (beats - 1) if beats > 1 else pace
        if first % 1 or slope % 1 or slope < pace or first < self.left_last + pace:
            # Beats after the first number, up to the second one, do not leave in whole cycles, or
            # closer to each other than others arrive.
            self.uneven.append((self.issued - beats, self.issued))
        self.left_last = last
        self.left.append((self.issued, beats, first, last))

    def _steady_bursts(self, extent: ReadExtent, chosen: float, limit: float) -> float | None:
        """Read all bursts of the command at once, or whole ones before ``limit``, if this is exact.

        It is if beats leave the buffer without a pause, at the port's pace. For that no burst may
        be chosen too late. A burst is chosen a cycle after the one before, or when there is room:
        when beats before have left the buffer. As these leave it one by one, at least as far apart
        as others arrive, no burst comes too late if the last one does not. Times must be whole
        numbers: sums of others would be rounded differently.

        Returns
        -------
        When the latest burst was chosen; None if the bursts are not of this kind.
        """
        memory, ready, pace = self.memory, self.loaders.ready, self.memory.interval
        first = memory.steady(chosen, ready - self.buffer)
        if first is None:
            return None
        enter = first + self.buffer
        if ready > enter:
            enter = ready
        beats = self._even_beats(extent) if self.uneven else extent.left
        latest, room = self._latest(beats, extent.burst, chosen, enter)
        on_time = latest + memory.latency + BURST_BEATS <= first + beats * pace
        if latest >= limit or beats < extent.left or not on_time:
            if latest >= limit:
                beats -= 1 + int(max(0, room - limit) / pace)
                beats = min(beats, int(limit - chosen) * BURST_BEATS)
            beats -= (beats - extent.burst) % BURST_BEATS
            if beats <= extent.burst:
                return None
            latest, room = self._latest(beats, extent.burst, chosen, enter)
        late = room + memory.latency + self.buffer >= enter + (beats - BURST_BEATS) * pace
        if late or enter < self.left_last + pace:
            return None
        if chosen % 1 or first % 1 or enter % 1 or latest % 1 or pace % 1:
            return None
        memory.burst_steadily(first, beats, latest)
        extent.advance(beats)
        self.issued += beats
        self.left_last = self.loaders.consume_steadily(enter, beats, pace)
        self.left.append((self.issued, beats, enter, self.left_last))
        return latest

    def _even_beats(self, extent: ReadExtent) -> int:
        """Count the beats that find room as others leave evenly; at least the next burst's."""
        uneven, ahead = self.uneven, LOAD_ROOM - self.issued
        while uneven and uneven[0][1] + ahead < extent.burst:
            uneven.pop(0)
        if not uneven:
            return extent.left
        return min(extent.left, max(uneven[0][0] + ahead, extent.burst))

    def _latest(self, beats: int, burst: int, chosen: float, enter: float) -> tuple[float, float]:
        """Find when the last of the next bursts is chosen, and when there is room for it.

        Parameters
        ----------
        beats : int
            All of them.
        burst : int
            Those of the first burst.
        chosen : float
            When the first burst is chosen.
        enter : float
            When its first beat leaves the buffer.
        """
        if beats > LOAD_ROOM:
            room = enter + (beats - LOAD_ROOM - 1) * self.memory.interval + ROOM_CYCLES
        else:
            needed = self.issued + beats - LOAD_ROOM
            room = self._leaves(needed) + ROOM_CYCLES if needed > 0 else -NEVER
        follow = chosen + divide_up(beats - burst, BURST_BEATS)  # a cycle after each other
        return (room if room > follow else follow), room


class LoaderTiming:
    """The loaders: take beats out of the load unit's buffer and write them, LOAD after LOAD.

    Parameters
    ----------
    gap : int
        Cycles in which a loader sets its counters.
    """

    def __init__(self, gap: int):
        self.gap = gap
        self.finished: list[float] = []  # cycle of each LOAD's last write
        self.busy = 0.0
        self.ready = 0.0  # when the next beat can be taken
        self.even = False  # whether it takes a beat of this LOAD in every cycle
        self._end = 0.0  # of what was written so far

    def begin(self, cost: LoadCost, seen: float) -> None:
        """Begin a LOAD, which the loaders see from a cycle on."""
        free = max(self.finished[-1] + 1, seen) if self.finished else seen
        self.busy -= free
        self.cost = cost
        self.ready = free + self.gap
        self.even = cost.step == 1 and not cost.cut
        self._begun = False

    def consume(self, first: float, last: float, beats: int) -> tuple[float, float]:
        """Take a burst's beats, which come from first to last; when these two are taken."""
        cost = self.cost
        start = first if first > self.ready else self.ready
        if cost.cut:
            # A cutter holds two beats, whose words are written from the next cycle on.
            if not self._begun:
                self._end, self._begun = start, True
            self._end = max(self._end + beats * cost.words, last + 1 + cost.words)
            stop = max(last, self._end - 2 * cost.words, start + beats - 1)
            self.ready = stop + 1
        else:
            stop = start + (beats - 1) * cost.step
            if last > stop:
                stop = last
            self.ready = stop + cost.step
            self._end = stop + cost.held
        return start, stop

    def consume_steadily(self, first: float, beats: int, pace: float) -> float:
        """Take beats from ``first`` on, a beat every ``pace`` cycles; when the last is taken."""
        stop = first + (beats - 1) * pace
        self.ready, self._end = stop + 1, stop + self.cost.held
        return stop

    def finish(self) -> float:
        """End the LOAD; returns the cycle of its last write."""
        end = self._end + self.cost.late
        self.finished.append(end)
        self.busy += end + 1
        return end
