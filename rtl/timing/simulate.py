"""Cycles of a program: an event simulation of its instructions.

The fetcher decodes in order and fills the units' queues; each unit takes its oldest instruction
as soon as the semaphores allow; memory serves program and LOADs burst by burst
(:mod:`rtl.timing.port`, :mod:`rtl.timing.loads`). What any other instruction takes is a formula
of its operands (:mod:`rtl.timing.units`). All times are clock cycles of the RTL, counted from the
start.

Every step knows all times that it depends on, also those that lie ahead, so nothing needs to be
simulated in the order of time but the one choice that depends on it: whose burst comes first.
"""

from dataclasses import dataclass

from rtl.compiler.lowering import lower
from rtl.compiler.operations import Program
from rtl.compiler.plan import plan
from rtl.config import EngineConfig
from rtl.isa.instructions import IMAGES_IN_FLIGHT, UNITS, Opcode, Unit
from rtl.model.shape import NetworkShape
from rtl.timing.loads import Loads
from rtl.timing.port import NEVER, Memory, MemoryTiming, ProgramReads
from rtl.timing.units import (
    MatmulTiming,
    NormTiming,
    SoftmaxTiming,
    StoreTiming,
    TimedUnit,
    UnitLatencies,
)

SIMULATED_MEMORY = MemoryTiming()  # of board sim
TINY_LATENCIES = UnitLatencies()
FETCH = UNITS  # the fetcher's place among the units
NO_TIME = 0.0  # of a signal that was there from the start
WAITED_FOR_UNIT, WAITED_FOR_PROGRAM = UNITS, UNITS + 1  # causes besides the producers
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
        From start to the end of the first image.
    cycles_per_image : float or None
        From one image's end to the next one's, on average; of three images at least.
    starts, ends : list of float
        Per instruction, image by image, the cycle when it is taken and that when it is done; 0
        for BEGIN, END.
    causes : list of int
        Per instruction, what it waited for last before it was taken: the number of the
        :class:`rtl.isa.instructions.Unit` whose signal it needed, ``WAITED_FOR_UNIT`` for its own
        unit, ``WAITED_FOR_PROGRAM`` for fetch, decode and queue. Of the busy matmul unit:
        :mod:`rtl.timing.breakdown`.
    busy : dict of Unit to float
        Cycles in which a unit works, per image.
    by_kind : dict of str to float
        Cycles of the matmul unit by kind of layer, per image.
    bytes : int
        Read and written in memory per image, instructions included.
    """

    cycles: int
    cycles_per_image: float | None
    starts: list[float]
    ends: list[float]
    causes: list[int]
    busy: dict[Unit, float]
    by_kind: dict[str, float]
    bytes: int


def predict(
    shape: NetworkShape,
    engine: EngineConfig,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = TINY_LATENCIES,
    images: int = 1,
) -> Prediction:
    """Cycles of a network on an engine, without weights.

    Parameters
    ----------
    shape : NetworkShape
    engine : EngineConfig
    memory : MemoryTiming
    latencies : UnitLatencies
        Of this engine: :func:`rtl.timing.latencies.unit_latencies`.
    images : int
        Back to back; ``cycles_per_image`` needs three.

    Raises
    ------
    UserError
        If the engine cannot run the network.
    """
    return simulate(lower(plan(shape, engine)), memory, latencies, images)


def simulate(
    program: Program,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = TINY_LATENCIES,
    images: int = 1,
) -> Prediction:
    """Cycles of a program; its operations must be synchronised."""
    simulation = _Simulation(program, memory, latencies, images)
    simulation.run()
    return simulation.result()


class _Station:
    """A unit with its queue: what was decoded for it, started, taken."""

    __slots__ = ("available", "done", "numbers", "signals", "started", "taken", "used", "waiting")

    def __init__(self, credits: list[int]) -> None:
        self.numbers: list[int] = []  # instructions that were decoded, counted over all images
        self.available: list[float] = []  # when each is at the queue's head, at the earliest
        self.started: list[float] = []  # when each leaves the queue
        self.taken = 0.0  # when the unit took the latest one
        self.waiting = NEVER  # when the latest one started, if it was not taken yet
        self.done = 0  # instructions whose end is known
        self.signals = [[NO_TIME] * credit for credit in credits]  # by producer
        self.used = [0] * UNITS  # signals that were waited for


class _Simulation:
    def __init__(
        self, program: Program, memory: MemoryTiming, latencies: UnitLatencies, images: int
    ):
        self.engine = engine = program.plan.engine
        self.operations = program.operations
        self.count = len(program.operations)
        self.images = images
        self.program = program
        self.latencies = latencies
        self.memory = Memory(memory, engine.memory_bytes)
        self.fetched = 0
        self.asked = 1  # images whose program was asked for
        self.fetch = self._program_reads(latencies.request)
        self.loads = Loads(engine, latencies.load_check, latencies.load_gap, latencies.queue)
        self.full: _Station | None = None  # whose queue the fetcher waits for
        self.chosen = 0.0  # when the latest burst was chosen
        credits = program.credits
        self.stations = [
            _Station([credits[producer][consumer] for producer in Unit]) for consumer in Unit
        ]
        self.todo: list[int] = [FETCH]
        self.matmul = MatmulTiming(engine, latencies)
        self.store = StoreTiming(engine, latencies, memory, self.memory)
        self.units: dict[int, TimedUnit] = {  # all but those that move data
            Unit.MATMUL: self.matmul,
            Unit.NORM: NormTiming(engine, latencies),
            Unit.SOFTMAX: SoftmaxTiming(engine, latencies),
        }
        self.loaded_bytes = 0
        self.starts = [0.0] * self.count * images
        self.ends = [0.0] * self.count * images
        self.causes = [WAITED_FOR_PROGRAM] * self.count * images
        computing = sum(operation.unit is not None for operation in program.operations)
        self.incomplete = [computing] * images  # instructions of each image
        self.latest = [0.0] * images  # end of those that are complete
        self.done = [NEVER] * images  # when each image is
        self.ended = 0.0  # when the latest END was decoded

    def result(self) -> Prediction:
        images = self.images
        busy = {Unit(unit): timing.busy / images for unit, timing in self.units.items()}
        busy |= {Unit.LOAD: self.loads.loaders.busy / images, Unit.STORE: self.store.busy / images}
        steady = (self.done[-1] - self.done[0]) / (images - 1) if images > 2 else None
        return Prediction(
            cycles=round(self.done[0]),
            cycles_per_image=steady,
            starts=self.starts,
            ends=self.ends,
            causes=self.causes,
            busy=busy,
            by_kind={kind: cycles / images for kind, cycles in self.matmul.by_kind.items()},
            bytes=self.program.program_bytes + (self.loaded_bytes + self.store.bytes) // images,
        )

    def _program_reads(self, requested: float) -> ProgramReads:
        return ProgramReads(
            self.program.constant_bytes,
            self.count,
            self.engine.memory_bytes,
            requested=requested,
            queue=self.latencies.queue,
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
                assert NEVER not in self.done, "deadlock"
                return

    def _wake(self, process: int) -> None:
        if process not in self.todo:
            self.todo.append(process)

    # ------------------------------------------------------------ memory, fetcher, semaphores

    def _burst(self) -> bool:
        """Choose bursts until one has an effect on an instruction; whether there was one.

        A client whose next burst is not known yet waits for one of the others'.
        """
        program = self.fetch.candidate()
        while True:
            load, store = self.loads.candidate(), self.store.candidate()
            chosen = max(self.chosen + 1, min(program, load))
            if store != NEVER and store <= chosen:
                answered = self.store.send()
                if answered is not None:
                    self._complete(Unit.STORE, answered)
                    self._wake(Unit.STORE)
                    return True
                continue
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
        depth, decode = self.engine.queue_depth, self.latencies.decode
        while self.fetched < self.count * self.images:
            at = self.fetch.decodable()
            if at == NEVER:
                return
            operation = self.operations[self.fetched % self.count]
            unit = operation.unit
            if unit is not None:
                station = self.stations[unit]
                full = len(station.numbers) - depth
                if full >= 0:
                    if full >= len(station.started):
                        self.full = station
                        return
                    at = max(at, station.started[full] + 1 - decode)
                station.numbers.append(self.fetched)
                station.available.append(at + decode + self.latencies.queue)
                self._wake(unit)
            self.fetch.decode(at)
            self.fetched += 1
            if operation.opcode is Opcode.END:
                self.ended = at + decode
                self._ask_again()

    def _ask_again(self) -> None:
        """Ask for the program of the next image, once the image before the latest one is done."""
        image = self.asked
        if image == self.images or self.fetched < image * self.count:
            return
        before = self.done[image - IMAGES_IN_FLIGHT] if image >= IMAGES_IN_FLIGHT else 0.0
        if before != NEVER:
            self.asked += 1
            self.fetch = self._program_reads(max(self.ended, before) + self.latencies.again)

    def _advance(self, unit: int) -> None:
        """Start and take a unit's instructions as far as their times are known."""
        station = self.stations[unit]
        while True:
            if station.waiting == NEVER and not self._start(station):
                return
            ready = self._ready(unit)
            if ready == NEVER:
                return
            number = station.numbers[len(station.started) - 1]
            taken = station.waiting + self.latencies.issue
            if ready > taken:
                taken = ready
                self.causes[number] = WAITED_FOR_UNIT
            station.taken = taken
            station.waiting = NEVER
            operation = self.operations[number % self.count]
            self.starts[number] = taken
            if unit == Unit.LOAD:
                self.loads.take(taken, operation.operands)
                self.loaded_bytes += operation.operands["bytes"]
            elif unit == Unit.STORE:
                self.store.take(taken, operation.operands)
            else:
                self._complete(unit, self.units[unit].execute(operation, taken))

    def _ready(self, unit: int) -> float:
        """Earliest cycle in which a unit can take its next instruction; NEVER if unknown."""
        if unit == Unit.LOAD:
            return self.loads.ready()
        return self.store.free if unit == Unit.STORE else self.units[unit].free

    def _start(self, station: _Station) -> bool:
        """Take the oldest instruction out of the queue, if all that it waits for is known."""
        index = len(station.started)
        if index == len(station.numbers):
            return False
        number = station.numbers[index]
        at, cause = station.available[index], WAITED_FOR_PROGRAM
        if station.taken + 1 > at:
            at, cause = station.taken + 1, WAITED_FOR_UNIT
        wait = self.program.waits[number % self.count]
        if wait:
            producers = MEMBERS[wait]
            for producer in producers:
                signals, used = station.signals[producer], station.used[producer]
                if used == len(signals):
                    return False
                signalled = signals[used] + self.latencies.signal
                if signalled > at:
                    at, cause = signalled, producer
            for producer in producers:
                station.used[producer] += 1
        self.causes[number] = cause
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
        image, number = divmod(number, self.count)
        self.incomplete[image] -= 1
        self.latest[image] = max(self.latest[image], end)
        if not self.incomplete[image]:
            self.done[image] = self.latest[image] + self.latencies.end
            self._ask_again()
        signal = self.program.signals[number]
        for consumer in MEMBERS[signal]:
            self.stations[consumer].signals[unit].append(end)
            self._wake(consumer)
