"""Cycles of a program: an event simulation of its instructions.

The fetcher decodes in order and fills the units' queues; each unit takes its oldest instruction
as soon as the semaphores allow; memory serves program and LOADs burst by burst
(:mod:`rtl.compiler.port`, :mod:`rtl.compiler.loads`). What any other instruction takes is a formula
of its operands (:mod:`rtl.compiler.units`). All times are clock cycles of the RTL, counted from the
start.

Every step knows all times that it depends on, also those that lie ahead, so nothing needs to be
simulated in the order of time but the one choice that depends on it: whose burst comes first.
"""

from dataclasses import dataclass

from rtl.compiler.limits import check
from rtl.compiler.loads import Loads
from rtl.compiler.lowering import lower
from rtl.compiler.operations import Program
from rtl.compiler.port import NEVER, Memory, MemoryTiming, ProgramReads
from rtl.compiler.units import (
    MatmulTiming,
    NormTiming,
    SoftmaxTiming,
    StoreTiming,
    TimedUnit,
    UnitLatencies,
)
from rtl.config import EngineConfig
from rtl.control.isa import UNITS, Unit
from rtl.shape import NetworkShape

SIMULATED_MEMORY = MemoryTiming()  # of board sim
TINY_LATENCIES = UnitLatencies()
FETCH = UNITS  # the fetcher's place among the units
MEMBERS = tuple(
    tuple(unit for unit in range(UNITS) if marks >> unit & 1) for marks in range(1 << UNITS)
)
"""The units in a set of marks, wait or signal."""


@dataclass(frozen=True)
class Prediction:
    """What :func:`simulate` finds.

    Parameters
    ----------
    cycles : int
        From start to done, one picture.
    starts, ends : list of float
        Per instruction, the cycle when it is taken and that when it is done; 0 for BEGIN, END.
    busy : dict of Unit to float
        Cycles in which a unit works.
    by_kind : dict of str to float
        Cycles of the matmul unit by kind of layer.
    bytes : int
        Read and written in memory, instructions included.
    """

    cycles: int
    starts: list[float]
    ends: list[float]
    busy: dict[Unit, float]
    by_kind: dict[str, float]
    bytes: int


def predict(
    shape: NetworkShape,
    engine: EngineConfig,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = TINY_LATENCIES,
) -> Prediction:
    """Cycles of a network on an engine, without weights.

    Parameters
    ----------
    shape : NetworkShape
    engine : EngineConfig
    memory : MemoryTiming
    latencies : UnitLatencies
        Of this engine: :func:`rtl.compiler.latencies.unit_latencies`.

    Raises
    ------
    UserError
        If the engine cannot run the network.
    """
    return simulate(lower(check(shape, engine)), memory, latencies)


def simulate(
    program: Program,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = TINY_LATENCIES,
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
        self.matmul = MatmulTiming(engine, latencies)
        self.store = StoreTiming(engine, latencies, memory, self.memory)
        self.units: dict[int, TimedUnit] = {  # all but LOAD
            Unit.MATMUL: self.matmul,
            Unit.NORM: NormTiming(latencies),
            Unit.SOFTMAX: SoftmaxTiming(latencies),
            Unit.STORE: self.store,
        }
        self.loaded_bytes = 0
        self.starts = [0.0] * len(program.operations)
        self.ends = [0.0] * len(program.operations)

    def result(self) -> Prediction:
        busy = {Unit(unit): timing.busy for unit, timing in self.units.items()}
        return Prediction(
            cycles=round(max(self.ends) + self.latencies.end),
            starts=self.starts,
            ends=self.ends,
            busy={**busy, Unit.LOAD: self.loads.loaders.busy},
            by_kind=dict(self.matmul.by_kind),
            bytes=self.program.program_bytes + self.loaded_bytes + self.store.bytes,
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
            ready = self.loads.ready() if unit == Unit.LOAD else self.units[unit].free
            if ready == NEVER:
                return
            station.taken = taken = max(station.waiting + self.latencies.issue, ready)
            station.waiting = NEVER
            number = station.numbers[len(station.started) - 1]
            operation = self.operations[number]
            self.starts[number] = taken
            if unit == Unit.LOAD:
                self.loads.take(taken, operation.operands)
                self.loaded_bytes += operation.operands["bytes"]
            else:
                self._complete(unit, self.units[unit].execute(operation, taken))

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
