"""Cycles of a program: an event simulation of its instructions.

The fetcher decodes in order and fills the units' queues; each unit takes its oldest instruction
as soon as the semaphores allow; memory serves program and LOADs burst by burst
(:mod:`rtl.compiler.port`). What an instruction takes is a formula of its operands, with the
constants of :class:`UnitLatencies`. All times are clock cycles of the RTL, counted from the start.

Every step knows all times that it depends on, also those that lie ahead, so nothing needs to be
simulated in the order of time but the one choice that depends on it: whose burst comes first.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from rtl.compiler.limits import check
from rtl.compiler.lowering import lower
from rtl.compiler.operations import Operation, Program
from rtl.compiler.port import BURST_BEATS, NEVER, Loads, Memory, MemoryTiming, ProgramReads
from rtl.config import EngineConfig
from rtl.control.isa import UNITS, Activations, Destination, Unit, Weights
from rtl.shape import NetworkShape

SIMULATED_MEMORY = MemoryTiming()  # of board sim
FETCH = UNITS  # the fetcher's place among the units
MEMBERS = tuple(
    tuple(unit for unit in range(UNITS) if marks >> unit & 1) for marks in range(1 << UNITS)
)
"""The units in a set of marks, wait or signal."""


@dataclass(frozen=True)
class UnitLatencies:
    """Pipeline constants in cycles. The defaults are TINY's.

    :func:`rtl.compiler.latencies.unit_latencies` takes them from the RTL of any engine. "Taken"
    is the cycle in which a unit accepts an instruction.

    Parameters
    ----------
    request : int
        From the start to the command that reads the program.
    queue : int
        ``LATENCY`` of :class:`rtl.control.queue.Queue`.
    issue : int
        ``LATENCY`` of :class:`rtl.control.issue.Issue`: from a queue's head to taken.
    signal : int
        From ``done`` to the semaphore.
    matmul_start, matmul_finish : int
        ``START_CYCLES`` and ``finish_cycles`` of :class:`rtl.matmul.unit.MatmulUnit`.
    norm_pair : int
        From the last beat of a pair's pass 1 to the first of its pass 2.
    norm_done, softmax_done : int
        From the last read to ``done``.
    load_check : int
        From taken until the next LOAD can be taken.
    load_gap : int
        Between the data of two LOADs.
    load_done : int
        From the last write to ``done``.
    store_check : int
        From taken to the reading of the first word.
    store_word : int
        Reading a word; its beats follow.
    store_answer : int
        From the last beat to ``done``, without the memory's latency.
    end : int
        From the last ``done`` to the engine's.
    """

    request: int = 2
    queue: int = 2
    issue: int = 1
    signal: int = 1
    matmul_start: int = 4
    matmul_finish: int = 28
    norm_pair: int = 42
    norm_done: int = 16
    softmax_done: int = 45
    load_check: int = 6
    load_gap: int = 1
    load_done: int = 1
    store_check: int = 5
    store_word: int = 3
    store_answer: int = 3
    end: int = 9


@dataclass(frozen=True)
class Prediction:
    """What :func:`simulate` finds.

    Parameters
    ----------
    cycles : int
        From start to done, one picture.
    starts, ends : list of float
        Per instruction, when it is taken and when it is done; 0 for BEGIN, END.
    busy : dict of Unit to float
        Cycles in which a unit works.
    by_kind : dict of str to float
        Cycles of the matmul unit by kind of layer.
    bytes : int
        Read and written, instructions included.
    """

    cycles: int
    starts: list[float]
    ends: list[float]
    busy: dict[Unit, float]
    by_kind: dict[str, float] = field(default_factory=dict)
    bytes: int = 0


def predict(
    shape: NetworkShape,
    engine: EngineConfig,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = UnitLatencies(),
) -> Prediction:
    """Cycles of a network on an engine, without weights.

    Raises
    ------
    UserError
        If the engine cannot run the network.
    """
    return simulate(lower(check(shape, engine)), memory, latencies)


def simulate(
    program: Program,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = UnitLatencies(),
) -> Prediction:
    """Cycles of a program; its operations must be synchronised."""
    simulation = _Simulation(program, memory, latencies)
    simulation.run()
    return simulation.result()


class _Station:
    """A unit with its queue: what was decoded for it, started, taken."""

    __slots__ = ("available", "done", "numbers", "signals", "started", "taken", "used", "waiting")

    def __init__(self) -> None:
        self.numbers: list[int] = []  # instructions that were decoded
        self.available: list[float] = []  # when each is at the queue's head, at the earliest
        self.started: list[float] = []  # when each leaves the queue
        self.taken = 0.0  # when the unit took the latest one
        self.waiting = NEVER  # when the latest one started, if it was not taken yet
        self.done = 0  # instructions whose end is known
        self.signals: list[list[float]] = [[] for _ in range(UNITS)]  # by producer
        self.used = [0] * UNITS  # signals that were waited for


class _Simulation:
    def __init__(self, program: Program, memory: MemoryTiming, latencies: UnitLatencies):
        self.engine = engine = program.sizes.engine
        self.operations = program.operations
        self.program = program
        self.timing = memory
        self.latencies = latencies
        self.memory = Memory(memory, engine.memory_bytes)
        self.fetched = 0
        self.fetch = ProgramReads(
            program.constant_bytes,
            len(program.operations),
            engine.memory_bytes,
            requested=latencies.request,
            queue=latencies.queue,
        )
        self.loads = Loads(engine, latencies.load_check, latencies.load_gap, latencies.queue)
        self.full: _Station | None = None  # whose queue the fetcher waits for
        self.chosen = 0.0  # when the latest burst was chosen
        self.stations = [_Station() for _ in range(UNITS)]
        self.todo: list[int] = [FETCH]
        self.execute: dict[int, Callable[[Operation, float], float]] = {
            Unit.MATMUL: self._matmul,
            Unit.NORM: self._norm,
            Unit.SOFTMAX: self._softmax,
            Unit.STORE: self._store,
        }
        self.free = [0.0] * UNITS  # when a unit can take its next instruction
        self.last_word = 0.0  # of the latest row tile, in the feed
        self.last_beats = 0  # that its drain takes
        self.pass_2: list[tuple[float, int]] = []  # of norm: start and beats of each pair's
        self.pass_2_end = 0.0
        self.busy: defaultdict[Unit, float] = defaultdict(float)
        self.by_kind: defaultdict[str, float] = defaultdict(float)
        self.bytes = program.program_bytes
        self.starts = [0.0] * len(program.operations)
        self.ends = [0.0] * len(program.operations)

    def result(self) -> Prediction:
        cycles = round(max(self.ends) + self.latencies.end)
        self.busy[Unit.LOAD] = self.loads.loaders.busy
        return Prediction(
            cycles, self.starts, self.ends, dict(self.busy), dict(self.by_kind), self.bytes
        )

    def run(self) -> None:
        """Do what can be done without another burst, then choose a burst, and so on."""
        todo = self.todo
        while True:
            while todo:
                process = todo.pop()
                if process == FETCH:
                    self._decode()
                else:
                    self._advance(process)
            if not self._burst():
                assert all(len(s.numbers) == s.done for s in self.stations), "deadlock"
                return

    def _wake(self, process: int) -> None:
        if process not in self.todo:
            self.todo.append(process)

    # ------------------------------------------------------------ memory, fetcher, semaphores

    def _burst(self) -> bool:
        """Choose bursts until one has an effect on an instruction; whether there was one.

        A client whose next burst is not known yet waits for one of the other's.
        """
        program = self.fetch.candidate()
        while True:
            load = self.loads.candidate()
            chosen = max(self.chosen + 1, min(program, load))
            if chosen == NEVER:
                return False
            self.chosen = chosen
            if program <= chosen:
                self.fetch.issue(chosen, self.memory)
                self._wake(FETCH)
                return True
            last_write = self.loads.issue(chosen, self.memory)
            if last_write is not None:
                self._complete(Unit.LOAD, last_write + self.latencies.load_done)
                self._wake(Unit.LOAD)
                return True

    def _decode(self) -> None:
        """Decode instructions as far as beats are there and queues have room."""
        depth = self.engine.queue_depth
        while self.fetched < len(self.operations):
            at = self.fetch.decodable()
            if at == NEVER:
                return
            unit = self.operations[self.fetched].unit
            if unit is not None:
                station = self.stations[unit]
                full = len(station.numbers) - depth
                if full >= 0:
                    if full >= len(station.started):
                        self.full = station
                        return
                    at = max(at, station.started[full] + 1)
                station.numbers.append(self.fetched)
                station.available.append(at + self.latencies.queue)
                self._wake(unit)
            self.fetch.decode(at)
            self.fetched += 1

    def _advance(self, unit: int) -> None:
        """Start and take a unit's instructions as far as their times are known."""
        station = self.stations[unit]
        while True:
            if station.waiting == NEVER and not self._start(station):
                return
            ready = self.loads.ready() if unit == Unit.LOAD else self.free[unit]
            if ready == NEVER:
                return
            station.taken = taken = max(station.waiting + self.latencies.issue, ready)
            station.waiting = NEVER
            number = station.numbers[len(station.started) - 1]
            operation = self.operations[number]
            self.starts[number] = taken
            if unit == Unit.LOAD:
                self.loads.take(taken, operation.operands)
                self.bytes += operation.operands["bytes"]
            else:
                self._complete(unit, self.execute[unit](operation, taken))

    def _start(self, station: _Station) -> bool:
        """Take the oldest instruction out of the queue, if all that it waits for is known."""
        index = len(station.started)
        if index == len(station.numbers):
            return False
        at = max(station.available[index], station.taken)
        wait = self.operations[station.numbers[index]].wait
        if wait:
            producers = MEMBERS[wait]
            for producer in producers:
                signals, used = station.signals[producer], station.used[producer]
                if used == len(signals):
                    return False
                at = max(at, signals[used] + self.latencies.signal)
            for producer in producers:
                station.used[producer] += 1
        station.started.append(at)
        station.waiting = at
        if self.full is station:
            self.full = None
            self._wake(FETCH)
        return True

    def _complete(self, unit: int, end: float) -> None:
        """The end of a unit's next instruction is known."""
        station = self.stations[unit]
        number = station.numbers[station.done]
        station.done += 1
        self.ends[number] = end
        signal = self.operations[number].signal
        for consumer in MEMBERS[signal]:
            self.stations[consumer].signals[unit].append(end)
            self._wake(consumer)

    # ------------------------------------------------------------ an instruction: when it is done

    def _matmul(self, operation: Operation, taken: float) -> float:
        """Feed a row tile in its passes while the one before drains, whichever takes longer."""
        operands, latencies = operation.operands, self.latencies
        words, row_tiles = operands["depth_words"], operands["row_tiles"]
        narrow, wide = self._passes(operands)
        wide_tiles = operands.get("wide", 0)
        beats = _drain_beats(operands)
        # Two instructions are held ready in front of the one that is fed.
        begin = max(taken + latencies.matmul_start - 1, self.last_word)
        self.free[Unit.MATMUL] = max(taken + 2, self.last_word)
        first = words * (wide if wide_tiles & 1 else narrow)
        last = max(begin + first, self.last_word + self.last_beats)
        more_wide = (wide_tiles >> 1).bit_count()
        last += more_wide * max(words * wide, beats)
        last += (row_tiles - 1 - more_wide) * max(words * narrow, beats)
        self.last_word, self.last_beats = last, beats
        self.busy[Unit.MATMUL] += last - begin
        self.by_kind[operation.subject.kind] += last - begin
        return last + beats + latencies.matmul_finish

    def _passes(self, operands: dict[str, int]) -> tuple[int, int]:
        """Passes of a row tile with 4-bit and with 8-bit weights."""
        if operands["weights"] != Weights.RING:
            return 2, 2
        sliced = operands.get("activations", 0) == Activations.PIXELS and self.engine.act_bits < 8
        return (2, 4) if sliced else (1, 2)

    def _norm(self, operation: Operation, taken: float) -> float:
        """Both passes share the reads; a pair's pass 2 goes before any pass 1 once it may."""
        operands, latencies = operation.operands, self.latencies
        words, pairs = operands["row_words"], _pairs(operands)
        at = taken + 1 + operands["lane_first"] // 2  # of the next read of pass 1
        waiting = [pair for pair in self.pass_2 if pair[0] + pair[1] > at]
        self.pass_2_end += 1  # a cycle between two instructions
        for _ in range(pairs):
            left = max(words, 2)  # pairs of one word are two cycles apart
            while waiting and waiting[0][0] < at + left:
                begin, beats = waiting.pop(0)
                left -= max(0, begin - at)
                at = max(at, begin) + beats
            at += left
            begin = max(at - 1 + latencies.norm_pair, self.pass_2_end)
            self.pass_2_end = begin + words
            waiting.append((begin, words))
        self.free[Unit.NORM] = at
        self.pass_2 = waiting
        self.busy[Unit.NORM] += 2 * pairs * words
        return self.pass_2_end - 1 + latencies.norm_done

    def _softmax(self, operation: Operation, taken: float) -> float:
        operands = operation.operands
        words = operands["lane_count"] * operands["key_words"]
        last = taken + operands["lane_first"] // 4 + words
        self.free[Unit.SOFTMAX] = last + 1
        self.busy[Unit.SOFTMAX] += words
        return last + self.latencies.softmax_done

    def _store(self, operation: Operation, taken: float) -> float:
        """A word is read, then sent, then the next; every burst waits for its answer."""
        operands, latencies = operation.operands, self.latencies
        words, beats = operands["row_words"], self.engine.row_lanes * 4 // self.engine.memory_bytes
        self.bytes += words * beats * self.engine.memory_bytes
        answer = latencies.store_answer + self.timing.latency_cycles
        in_block = operands["offset"] // self.engine.memory_bytes % BURST_BEATS
        at = taken + latencies.store_check - 1  # of the latest beat
        for _ in range(words):
            first = at + latencies.store_word + 1
            if in_block >= BURST_BEATS:
                in_block -= BURST_BEATS
                first = max(first, at + answer + 1)
            _, at = self.memory.send(first, beats)
            in_block += beats
        self.free[Unit.STORE] = end = at + answer
        self.busy[Unit.STORE] += end - taken
        return end


def _pairs(operands: dict[str, int]) -> int:
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 2 - first // 2 + 1


def _drain_beats(operands: dict[str, int]) -> int:
    """Beats of one row tile: pairs of lanes, for raw scores groups of four."""
    if operands["destination"] != Destination.SCORES:
        return _pairs(operands)
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 4 - first // 4 + 1
