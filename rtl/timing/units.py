"""The units of the timing model: formulas of operands, with pipeline constants from the RTL.

One class per unit, but for LOAD, which is made of bursts: :mod:`rtl.timing.loads`. Each has

- ``free``: the cycle from which it can take its next instruction,
- ``busy``: cycles in which it worked,
- ``cost(operation)``: what matters of an instruction, worked out once for all images,
- ``execute(cost, taken)``: take an instruction in a cycle; returns the cycle in which it is done.
  Instructions come in their order.

LOAD and STORE share the memory's bandwidth, so their bursts must be sent in the order of
time: ``execute`` returns NEVER, and ``candidate`` and ``issue`` or ``send`` do the rest.

All times are clock cycles of the RTL.
"""

from collections import deque
from math import ceil
from typing import Any, Protocol

from rtl.compiler.operations import Operation
from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Destination, Opcode, Weights
from rtl.isa.scratchpads import stored_beats, stored_words
from rtl.timing.latencies import UnitLatencies
from rtl.timing.port import BURST_BEATS, NEVER, WRITES_IN_FLIGHT, MemoryPort, MemoryTiming
from rtl.timing.selection import SelectionTiming


class TimedUnit(Protocol):
    """A unit as the simulation uses it; see the module's description."""

    free: float
    busy: float

    def cost(self, operation: Operation) -> Any: ...

    def execute(self, cost: Any, taken: float) -> float: ...


class MatmulTiming:
    """Array and drain: a row tile is fed in its passes while the one before drains.

    A row tile takes whichever of the two is longer. The feed of an instruction begins while the
    drain still works on the one before.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
    selection : SelectionTiming
        Says when MATMULs to KEPT may begin.

    Attributes
    ----------
    feeds : list of (float, float)
        Cycles in which each instruction's feed begins, and in which its last row tile's ends.
    """

    def __init__(self, engine: EngineConfig, latencies: UnitLatencies, selection: SelectionTiming):
        self.engine, self.selection = engine, selection
        self.start, self.finish = latencies.matmul_start, latencies.matmul_finish
        self.free = self.busy = 0.0
        self.feeds: list[tuple[float, float]] = []
        self.last = self.earlier = 0.0  # ends of the latest two instructions in the feed
        self.last_beats = 0  # that its drain takes

    def cost(self, operation: Operation) -> tuple[int, int, int, int, bool]:
        """Work out what a MATMUL takes.

        Returns
        -------
        Cycles of the first row tile in the feed; of all others with 8-bit weights; of those with
        4-bit weights; beats in which the drain empties a row tile; whether it needs places.
        """
        operands = operation.operands
        words, row_tiles = operands["depth_words"], operands["row_tiles"]
        bits4, bits8 = passes(operands, self.engine)
        beats, kept = _drain_beats(operands), operands["destination"] == Destination.KEPT
        each4 = words * bits4
        flags = operands.get("bits8", 0)
        if not flags:
            return each4, 0, (row_tiles - 1) * (each4 if each4 > beats else beats), beats, kept
        each8, more8 = words * bits8, (flags >> 1).bit_count()
        first = each8 if flags & 1 else each4
        more4 = row_tiles - 1 - more8
        return first, more8 * max(each8, beats), more4 * max(each4, beats), beats, kept

    def execute(self, cost: tuple[int, int, int, int, bool], taken: float) -> float:
        first, more8, more4, beats, kept = cost
        if kept and self.selection.over > taken:
            taken = self.selection.over
        before = self.last
        begin = taken + self.start - 1
        if before > begin:
            begin = before
        # Two instructions are held ready in front of the one that is fed.
        self.free = taken + 2
        if self.earlier > self.free:
            self.free = self.earlier
        last, drained = begin + first, before + self.last_beats
        if drained > last:
            last = drained
        last = last + more8 + more4
        self.earlier, self.last, self.last_beats = before, last, beats
        self.busy += last - begin
        self.feeds.append((begin, last))
        return last + beats + self.finish


def passes(operands: dict[str, int], engine: EngineConfig) -> tuple[int, int]:
    """Count the passes that a MATMUL takes for a row tile with 4-bit and with 8-bit weights."""
    if operands["weights"] != Weights.RING:
        return 2, 2
    sliced = operands.get("activations", 0) == Activations.PIXELS and engine.act_bits < 8
    return (2, 4) if sliced else (1, 2)


def array_cycles(operands: dict[str, int], engine: EngineConfig) -> int:
    """Count the cycles in which the array multiplies: a depth word in each pass of a row tile.

    Of 12 depth words and 4 row tiles, one of them with 8-bit weights: ``12 * (3 + 2)``.
    """
    bits4, bits8 = passes(operands, engine)
    tiles8 = operands.get("bits8", 0).bit_count()
    return operands["depth_words"] * ((operands["row_tiles"] - tiles8) * bits4 + tiles8 * bits8)


class NormTiming:
    """LayerNorm: both passes share the reads; a pair's pass 2 goes before any pass 1 once it may.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
    """

    def __init__(self, engine: EngineConfig, latencies: UnitLatencies):
        self.parts = engine.norm_parts
        self.pair, self.done = latencies.norm_pair, latencies.norm_done
        self.free = self.busy = 0.0
        self.pass_2: list[tuple[float, int]] = []  # start and beats of each pair's
        self.pass_2_end = 0.0

    def cost(self, operation: Operation) -> tuple[int, int, int]:
        """Return the first pair of lanes, how many pairs, and the beats of a pass over a pair."""
        operands = operation.operands
        return operands["lane_first"] // 2, _pairs(operands), operands["row_words"] * self.parts

    def execute(self, cost: tuple[int, int, int], taken: float) -> float:
        first, pairs, beats = cost
        at = taken + 1 + first  # of the next read of pass 1
        waiting = [pair for pair in self.pass_2 if pair[0] + pair[1] > at]
        pass_2_end = self.pass_2_end + 1  # a cycle between two instructions
        read = max(beats, 2)  # pairs of one beat are two cycles apart
        for _ in range(pairs):
            left = read
            while waiting and waiting[0][0] < at + left:
                begin, others = waiting.pop(0)
                if begin > at:
                    left -= begin - at
                    at = begin
                at += others
            at += left
            begin = at - 1 + self.pair
            if pass_2_end > begin:
                begin = pass_2_end
            pass_2_end = begin + beats
            waiting.append((begin, beats))
        self.free, self.pass_2, self.pass_2_end = at, waiting, pass_2_end
        self.busy += 2 * pairs * beats
        return pass_2_end - 1 + self.done


class SoftmaxTiming:
    """Softmax: a word, or a part of it, per cycle, lane by lane; SELECT: a single beat.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
    selection : SelectionTiming
        What softmaxes that add to the importance of keys, and SELECTs, leave to be done.
    """

    def __init__(self, engine: EngineConfig, latencies: UnitLatencies, selection: SelectionTiming):
        self.parts = engine.softmax_parts
        self.done, self.landed = latencies.softmax_done, latencies.softmax_landed
        self.selection = selection
        self.free = self.busy = 0.0

    def cost(self, operation: Operation) -> tuple[int, int, int, bool]:
        """Return the first group of four lanes, how many beats the words take, and what follows.

        That is the cycles in which the importance of keys is added, or, of a SELECT, its own.
        """
        operands = operation.operands
        if operation.opcode is Opcode.SELECT:
            return 0, 1, self.selection.select_cycles(operands), True
        beats = operands["lane_count"] * operands["key_words"] * self.parts
        return operands["lane_first"] // 4, beats, self.selection.row_cycles(operands), False

    def execute(self, cost: tuple[int, int, int, bool], taken: float) -> float:
        first, beats, follows, selects = cost
        if follows:
            taken = self.selection.taken(taken, selects)
        last = taken + first + beats
        self.free = last + 1
        self.busy += beats
        if follows:
            self.selection.follow(last + self.landed, follows, selects)
        return last + self.done


class StoreTiming:
    """Store: beats without a pause, in bursts; memory's answer at the end.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
    timing : MemoryTiming
        How long the answer of a burst takes.
    memory : MemoryPort
        Shared with the reads, and so is its bandwidth.
    """

    def __init__(
        self,
        engine: EngineConfig,
        latencies: UnitLatencies,
        timing: MemoryTiming,
        memory: MemoryPort,
    ):
        self.engine = engine
        self.latencies = latencies
        self.memory = memory
        answer = timing.answer_cycles
        self.answer = latencies.store_answer + (timing.latency_cycles if answer is None else answer)
        self.free = self.busy = self.taken = 0.0
        self.first = NEVER  # when the next burst's first beat can be sent
        self.left = self.in_block = 0  # beats to be sent; their place in a block of memory
        self.pace, self.early = 1, 0  # cycles from beat to beat; how much earlier the last one is
        self.slowest = ceil(engine.memory_bytes / timing.written_per_cycle)  # pace of the port
        self.bytes = 0  # written
        self.unanswered: deque[float] = deque(maxlen=WRITES_IN_FLIGHT)  # the bursts' last beats

    def cost(self, operation: Operation) -> tuple[int, int, int, bool]:
        """Return the beats, their place in a block of memory, words per beat, if one is left.

        A word is read in a cycle, so a beat of two takes two cycles; the last one may hold one.
        """
        operands, beat_bytes = operation.operands, self.engine.memory_bytes
        beats, words = stored_beats(operands, self.engine), stored_words(operands)
        word_bytes = self.engine.residual_word_bytes
        pace = 2 if operands.get("int16", 0) and word_bytes < beat_bytes else 1
        return beats, operands["offset"] // beat_bytes % BURST_BEATS, pace, words % pace != 0

    def execute(self, cost: tuple[int, int, int, bool], taken: float) -> float:
        """Take an instruction; returns NEVER, as its end is known with its last burst only."""
        self.taken = taken
        self.left, self.in_block, self.pace, self.early = cost
        self.bytes += self.left * self.engine.memory_bytes
        self.free = NEVER
        self.unanswered.clear()
        start = taken + self.latencies.store_check + self.latencies.store_word
        self.first = start + self.pace - 1 - (self.early and self.left == 1)
        if self.slowest > self.pace:
            self.pace, self.early = self.slowest, 0
        return NEVER

    def candidate(self) -> float:
        """Find when the next burst takes part in the choice of bursts; NEVER if there is none.

        A burst's beats come after the memory's latency if it is read, or behind those that were
        chosen before; at once if it is written.
        """
        return self.first - self.memory.wait_of(self.first)

    def send(self) -> float | None:
        """Send the next burst; returns when the instruction is done if it was the last one."""
        beats = min(self.left, BURST_BEATS - self.in_block)
        self.left -= beats
        self.in_block = 0
        at = self.memory.write(self.first, beats, self.pace)
        at -= self.early and not self.left and beats > 1
        if self.left:
            self.first = at + self.pace - (self.early and self.left == 1)
            self.unanswered.append(at)
            if len(self.unanswered) == WRITES_IN_FLIGHT:
                self.first = max(self.first, self.unanswered[0] + self.answer + 1)
            return None
        self.first = NEVER
        self.free = end = at + self.answer
        self.busy += end - self.taken
        return end


def _pairs(operands: dict[str, int]) -> int:
    """Count the pairs of lanes that take part; a pair of which one lane does counts."""
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 2 - first // 2 + 1


def _drain_beats(operands: dict[str, int]) -> int:
    """Count the beats of a row tile in the drain: pairs of lanes, or groups of four for scores."""
    if operands["destination"] != Destination.SCORES:
        return _pairs(operands)
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 4 - first // 4 + 1
