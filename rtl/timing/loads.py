"""The load unit in the timing model: LOADs become commands, commands bursts, beats writes.

Follows :mod:`rtl.memory.load.unit` burst by burst. A burst is issued when the buffer has room for
all of it; beats leave the buffer as the loaders write. All times are clock cycles of the RTL.
"""

import sys

from rtl.compiler.operations import Operation
from rtl.compiler.tiles import divide_up
from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.timing.port import (
    BUFFER_CYCLES,
    BURST_BEATS,
    BURST_CYCLES,
    NEVER,
    ROOM_CYCLES,
    MemoryPort,
    ReadExtent,
)
from rtl.timing.units import UnitLatencies

LOAD_ROOM = 256  # beats; rtl.memory.reader.Reader.ROOM
LOADS_AHEAD = 8  # rtl.memory.load.unit.LoadUnit.AHEAD

Departure = tuple[int, int, float, float]
"""A burst's beats, or those of several, leaving the buffer evenly: the number of the last one among
all beats, how many they are, when the first one leaves, when the last one does."""


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
    """

    def __init__(self, engine: EngineConfig, latencies: UnitLatencies, memory: MemoryPort):
        self.beat_bytes = engine.memory_bytes
        self.check = latencies.load_check
        self.queue = latencies.queue
        self.buffer = latencies.queue + BUFFER_CYCLES
        self.done = latencies.load_done
        self.memory = memory
        self.loaders = LoaderTiming(engine, latencies.load_gap)
        self.free = 0.0
        self.waiting: list[tuple[float, dict[str, int]]] = []  # taken, operands; at most two
        self.extent: ReadExtent | None = None  # of the command that is being cut into bursts
        self.earliest = 0.0  # choice of the next burst, or the next command
        self.issued = 0  # beats
        self.left: list[Departure] = []
        self.oldest = 0  # of the departures that matter
        self.left_last = -NEVER  # when the latest beat leaves
        self.uneven: list[tuple[int, int]] = []  # see _burst
        self.entered: list[float] = []  # when each LOAD entered the loaders' queue

    @property
    def busy(self) -> float:
        return self.loaders.busy

    def cost(self, operation: Operation) -> dict[str, int]:
        """Return the operands: they say all that a LOAD takes."""
        return operation.operands

    def execute(self, operands: dict[str, int], taken: float) -> float:
        """Take an instruction; returns NEVER, as its end is known with its last burst only."""
        self.waiting.append((taken, operands))
        self._command()
        return NEVER

    def _command(self) -> None:
        """Hand the next command to the reader, if the one before has all its bursts."""
        if self.extent is None and self.waiting:
            taken, operands = self.waiting.pop(0)
            at = taken + self.check - 2
            if self.earliest - 1 > at:
                at = self.earliest - 1
            entered, ahead = at + 1, len(self.entered) - LOADS_AHEAD
            if ahead >= 0 and self.loaders.finished[ahead] + 1 > entered:
                entered = self.loaders.finished[ahead] + 1
            self.entered.append(entered)
            self.extent = ReadExtent(operands["offset"], operands["bytes"], self.beat_bytes)
            self.earliest = at + BURST_CYCLES
            self.loaders.begin(operands, self.extent.left, entered + self.queue)
        self.free = NEVER if self.waiting else self.entered[-1] + 1

    def candidate(self) -> float:
        """Find the earliest choice of the next burst; NEVER if there is none."""
        if self.extent is None:
            return NEVER
        needed = self.issued + self.extent.burst - LOAD_ROOM
        if needed <= 0:
            return self.earliest
        left, oldest, earliest = self.left, self.oldest, self.earliest
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
        extent = self.extent
        assert extent is not None
        while True:
            several = extent.left > BURST_BEATS < limit - chosen and self.loaders.even
            latest = self._steady_bursts(extent, chosen, limit) if several else None
            if latest is None:
                self._burst(extent, chosen)
            else:
                chosen = latest
            self.earliest = chosen + 1
            if not extent.left:
                self.extent = None
                end = self.loaders.finish()
                self._command()
                return chosen, end + self.done
            following = self.candidate()
            if following >= limit:
                return chosen, None
            chosen = following

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
        """Read all whole bursts of the command at once, or all before ``limit``, if this is exact.

        It is if beats leave the buffer without a pause, at the port's pace. For that no burst may
        be chosen too late. A burst is chosen a cycle after the one before, or when there is room:
        when beats before have left the buffer. As these leave it one by one, at least as far apart
        as others arrive, no burst comes too late if the last one does not. Times must be whole
        numbers: sums of others would be rounded differently.

        Returns
        -------
        When the latest burst was chosen; None if the bursts are not of this kind.
        """
        memory, loaders, pace = self.memory, self.loaders, self.memory.interval
        first = memory.steady(chosen, loaders.ready - self.buffer)
        enter = max(first + self.buffer, loaders.ready) if first is not None else -NEVER
        if first is None or enter < self.left_last + pace:
            return None
        more = min(extent.left, self._even_beats(extent.burst)) - extent.burst
        bursts = more // BURST_BEATS + 1
        beats = extent.burst + (bursts - 1) * BURST_BEATS
        latest, room = self._latest(beats, bursts, chosen, enter)
        if latest >= limit:
            bursts -= int(max(0, room - limit) / (BURST_BEATS * pace)) + 1
            bursts = min(bursts, int(limit - chosen))
            if bursts < 2:
                return None
            beats = extent.burst + (bursts - 1) * BURST_BEATS
            latest, room = self._latest(beats, bursts, chosen, enter)
        late = room + memory.latency + self.buffer >= enter + (beats - BURST_BEATS) * pace
        if late or bursts < 2:
            return None
        if chosen % 1 or first % 1 or enter % 1 or latest % 1 or pace % 1:
            return None
        memory.burst_steadily(first, beats, latest)
        extent.advance(beats)
        self.issued += beats
        self.left_last = loaders.consume_steadily(enter, beats, pace)
        self.left.append((self.issued, beats, enter, self.left_last))
        return latest

    def _even_beats(self, burst: int) -> int:
        """Count the beats that find room as others leave evenly; at least the next burst's."""
        needed = self.issued + burst - LOAD_ROOM
        while self.uneven and self.uneven[0][1] < needed:
            self.uneven.pop(0)
        if not self.uneven:
            return sys.maxsize
        return max(self.uneven[0][0] + LOAD_ROOM - self.issued, burst)

    def _latest(self, beats: int, bursts: int, chosen: float, enter: float) -> tuple[float, float]:
        """Find when the last of the next bursts is chosen, and when there is room for it.

        Parameters
        ----------
        beats, bursts : int
            How many these are.
        chosen : float
            When the first of the bursts is chosen.
        enter : float
            When their first beat leaves the buffer.
        """
        needed = self.issued + beats - LOAD_ROOM
        if needed > self.issued:
            room = enter + (needed - self.issued - 1) * self.memory.interval + ROOM_CYCLES
        else:
            room = self._leaves(needed) + ROOM_CYCLES if needed > 0 else -NEVER
        return max(chosen + bursts - 1, room), room


class LoaderTiming:
    """The loaders: take beats out of the load unit's buffer and write them, LOAD after LOAD.

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
        self.ready = 0.0  # when the next beat can be taken
        self.even = False  # whether it takes a beat of this LOAD in every cycle
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
        self.ready = free + self.gap
        self.even = not self._cut and self._step == 1
        self._begun = False

    def _word_count(self, operands: dict[str, int], beats: int) -> int:
        """Count the words of the scratchpad, or the parts of words that a beat fills."""
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
        """Take a burst's beats, which come from first to last; when these two are taken."""
        start = first if first > self.ready else self.ready
        if self._cut:
            # A cutter holds two beats, whose words are written from the next cycle on.
            if not self._begun:
                self._end, self._begun = start, True
            self._end = max(self._end + beats * self._words, last + 1 + self._words)
            stop = max(last, self._end - 2 * self._words, start + beats - 1)
            self.ready = stop + 1
        else:
            stop = start + (beats - 1) * self._step
            if last > stop:
                stop = last
            self.ready = stop + self._step
            self._end = stop + self._held
        return start, stop

    def consume_steadily(self, first: float, beats: int, pace: float) -> float:
        """Take beats from ``first`` on, a beat every ``pace`` cycles; when the last is taken."""
        stop = first + (beats - 1) * pace
        self.ready, self._end = stop + 1, stop + self._held
        return stop

    def finish(self) -> float:
        """End the LOAD; returns the cycle of its last write."""
        end = self._end + self._late
        self.finished.append(end)
        self.busy += end + 1
        return end
