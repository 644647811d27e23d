"""Cycles of a program: an event simulation of its instructions.

The fetcher decodes in order and fills the units' queues; each unit takes its oldest instruction
as soon as the semaphores allow; memory serves program and LOADs burst by burst
(:mod:`rtl.timing.port`, :mod:`rtl.timing.loads`). What any other instruction takes is a formula
of its operands (:mod:`rtl.timing.units`). All times are clock cycles of the RTL, counted from the
start.

Every step knows all times that it depends on, also those that lie ahead, so nothing needs to be
simulated in the order of time but the one choice that depends on it: whose burst comes first.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rtl.compiler.collector import collector_paused
from rtl.compiler.lowering import lower
from rtl.compiler.operations import Program
from rtl.compiler.plan import plan
from rtl.config import EngineConfig
from rtl.isa.instructions import UNITS, Opcode, Unit
from rtl.model.shape import NetworkShape
from rtl.timing.fetch import NO_UNIT, FetchTiming
from rtl.timing.latencies import UnitLatencies
from rtl.timing.loads import LoadTiming
from rtl.timing.port import NEVER, MemoryPort, MemoryTiming
from rtl.timing.selection import SelectionTiming
from rtl.timing.units import (
    MatmulTiming,
    NormTiming,
    SoftmaxTiming,
    StoreTiming,
    TimedUnit,
)

SIMULATED_MEMORY = MemoryTiming()  # of board sim
TINY_LATENCIES = UnitLatencies()
FETCH = UNITS  # the fetcher's place among the processes, behind the units
WAITED_FOR_UNIT, WAITED_FOR_PROGRAM = UNITS, UNITS + 1  # causes besides the producers
MEMBERS = tuple(
    tuple(unit for unit in range(UNITS) if marks >> unit & 1) for marks in range(1 << UNITS)
)
"""The units in a set of marks, wait or signal."""


@dataclass(frozen=True)
class Prediction:
    """Cycles of a program, as :func:`simulate` finds them.

    Parameters
    ----------
    cycles : int
        Cycles from the start to the end of the first image.
    cycles_per_image : float or None
        Cycles from one image's end to the next one's, on average; None of fewer than three images.
    starts, ends : list of float
        Per instruction, image by image, the cycle when it is taken and that when it is done; 0
        for BEGIN, END.
    causes : list of int
        Per instruction, what it waited for last before it was taken: the number of the
        :class:`rtl.isa.instructions.Unit` whose signal it needed, ``WAITED_FOR_UNIT`` for its own
        unit, ``WAITED_FOR_PROGRAM`` for fetch, decode and queue.
    feeds : list of (float, float)
        Per MATMUL, image by image, when its first row tile begins and when its last one ends in
        the array's feed.
    busy : dict of Unit to float
        Cycles in which a unit works, per image.
    by_kind : dict of str to float
        Cycles of the matmul unit by kind of layer, per image.
    bytes : int
        Bytes that are read and written in memory per image, instructions included.
    """

    cycles: int
    cycles_per_image: float | None
    starts: list[float]
    ends: list[float]
    causes: list[int]
    feeds: list[tuple[float, float]]
    busy: dict[Unit, float]
    by_kind: dict[str, float]
    bytes: int


@collector_paused()
def predict(
    shape: NetworkShape,
    engine: EngineConfig,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = TINY_LATENCIES,
    images: int = 1,
) -> Prediction:
    """Predict the cycles of a network on an engine; weights are not needed.

    Parameters
    ----------
    shape : NetworkShape
    engine : EngineConfig
    memory : MemoryTiming
    latencies : UnitLatencies
        Pipeline constants of this engine: :func:`rtl.timing.latencies.unit_latencies`.
    images : int
        How many images run back to back; ``cycles_per_image`` needs three.

    Raises
    ------
    UserError
        If the engine cannot run the network.
    """
    return simulate(lower(plan(shape, engine)), memory, latencies, images)


@collector_paused()
def simulate(
    program: Program,
    memory: MemoryTiming = SIMULATED_MEMORY,
    latencies: UnitLatencies = TINY_LATENCIES,
    images: int = 1,
) -> Prediction:
    """Simulate a program; parameters as of :func:`predict`."""
    simulation = _Simulation(program, memory, latencies, images)
    simulation.run()
    return simulation.result()


_Instruction = tuple[int, tuple[tuple[int, int], ...], int, Any]
"""An instruction of a unit: number, waits, wakes, cost.

Number in the program. Of each signal that it waits for, how many instructions before it the one
stands that gives the signal, which may be of the image before; and the unit of that one. A bit for
each unit that it gives a signal to. Its cost, as of :meth:`rtl.timing.units.TimedUnit.cost`.
"""


class _Simulation:
    """State of a run of ``images`` images.

    Instructions are counted over all images, after one more image before the first: that one is
    done at cycle 0, and gives the signals with which the semaphores start.
    """

    def __init__(
        self, program: Program, memory: MemoryTiming, latencies: UnitLatencies, images: int
    ):
        engine, operations = program.plan.engine, program.operations
        self.program, self.latencies, self.images = program, latencies, images
        self.count = count = len(operations)
        self.chosen = 0.0  # when the latest burst was chosen
        port = MemoryPort(memory, engine.memory_bytes)
        self.load = LoadTiming(engine, latencies, port)
        self.store = StoreTiming(engine, latencies, memory, port)
        selection = SelectionTiming(engine, latencies)
        self.matmul = MatmulTiming(engine, latencies, selection)
        self.units: tuple[TimedUnit, ...] = (  # by number
            self.load,
            self.matmul,
            NormTiming(engine, latencies),
            SoftmaxTiming(engine, latencies, selection),
            self.store,
        )
        units = self.unit_of = [operation.unit for operation in operations]
        self.fetch = FetchTiming(engine, latencies, program.constant_bytes, units, images)
        self.sequences = _sequences(program, units, self.units)
        self.starts = [0.0] * count * (images + 1)
        self.causes = [WAITED_FOR_PROGRAM] * count * (images + 1)
        self.ends = [0.0] * count + [0.0 if unit is None else NEVER for unit in units] * images
        self.incomplete = [sum(map(bool, self.sequences))] * images  # units, of each image
        self.done = [NEVER] * images  # when each image is
        self.transfers = {
            unit: _in_order(self.sequences[unit], count, images) for unit in (Unit.LOAD, Unit.STORE)
        }

    def run(self) -> None:
        """Do what can be done without another burst, then choose a burst, and so on."""
        processes = [self._process(unit) for unit in Unit]
        processes.append(self.fetch.process(self.done))
        resume = [process.__next__ for process in processes]
        fetch = self.fetch
        todo = 1 << FETCH
        while todo:
            while todo:
                process = todo.bit_length() - 1
                todo ^= 1 << process
                todo |= resume[process]()
                if process == fetch.full:
                    fetch.full = NO_UNIT
                    todo |= 1 << FETCH
            todo = self._burst()
        assert NEVER not in self.done, "deadlock"

    def _process(self, unit: int) -> Iterator[int]:
        """Start and take a unit's instructions as far as their times are known.

        Yields a bit for each unit that got signals since it was resumed.
        """
        timing, sequence = self.units[unit], self.sequences[unit]
        starts, ends, causes = self.starts, self.ends, self.causes
        available, leave_queue = self.fetch.available, self.fetch.issued[unit].append
        issue, signal, execute = self.latencies.issue, self.latencies.signal, timing.execute
        taken, woken, number = 0.0, 0, 0
        for image in range(self.images if sequence else 0):
            first = (image + 1) * self.count
            for place, waits, wakes, cost in sequence:
                number = first + place
                while (at := available[number]) == NEVER:
                    yield woken
                    woken = 0
                cause = WAITED_FOR_PROGRAM
                if taken + 1 > at:
                    at, cause = taken + 1, WAITED_FOR_UNIT
                for distance, producer in waits:
                    while (end := ends[number - distance]) == NEVER:
                        yield woken
                        woken = 0
                    if end + signal > at:
                        at, cause = end + signal, producer
                leave_queue(at)
                while (free := timing.free) == NEVER:
                    yield woken
                    woken = 0
                taken = at + issue
                if free > taken:
                    taken, cause = free, WAITED_FOR_UNIT
                starts[number], causes[number] = taken, cause
                ends[number] = execute(cost, taken)
                woken |= wakes
            if ends[number] != NEVER:
                self._unit_done(image)
        while True:
            yield woken
            woken = 0

    def _unit_done(self, image: int) -> None:
        """Note that a unit has done all its instructions of an image."""
        self.incomplete[image] -= 1
        if not self.incomplete[image]:
            first = (image + 1) * self.count
            self.done[image] = max(self.ends[first : first + self.count]) + self.latencies.end
            self.fetch.ask(self.done)

    def _burst(self) -> int:
        """Choose bursts until one has an effect on an instruction.

        A client whose next burst is not known yet waits for one of the others'.

        Returns
        -------
        A bit for each process that may go on; 0 if there is no burst.
        """
        reader, load, store = self.fetch.reader, self.load, self.store
        program, write = reader.candidate(), store.candidate()
        while True:
            chosen, earliest = load.candidate, self.chosen + 1
            if program < chosen:
                chosen = program
            if chosen < earliest:
                chosen = earliest
            if write != NEVER and write <= chosen:
                end = store.send()
                if end is not None:
                    return self._complete(Unit.STORE, end)
                write = store.candidate()
            elif chosen == NEVER:
                return 0
            elif program <= chosen:
                self.chosen = chosen
                reader.issue(chosen, load.memory)
                return 1 << FETCH
            else:
                self.chosen, end = load.issue(chosen, min(program, write))
                if end is not None:
                    return self._complete(Unit.LOAD, end)

    def _complete(self, unit: Unit, end: float) -> int:
        """Note the end of a LOAD or STORE; returns a bit for each process that may go on."""
        image, number, wakes, is_last = next(self.transfers[unit])
        self.ends[number] = end
        if is_last:
            self._unit_done(image)
        return wakes | 1 << unit

    def result(self) -> Prediction:
        images, operations = self.images, self.program.operations
        steady = (self.done[-1] - self.done[0]) / (images - 1) if images > 2 else None
        loaded = sum(op.operands["bytes"] for op in operations if op.opcode is Opcode.LOAD)
        kinds = [op.subject.kind for op in operations if op.opcode is Opcode.MATMUL]
        by_kind = dict.fromkeys(kinds, 0.0)
        for kind, (begin, last) in zip(kinds * images, self.matmul.feeds, strict=True):
            by_kind[kind] += last - begin
        return Prediction(
            cycles=round(self.done[0]),
            cycles_per_image=steady,
            starts=self.starts[self.count :],
            ends=self.ends[self.count :],
            causes=self.causes[self.count :],
            feeds=self.matmul.feeds,
            busy={unit: self.units[unit].busy / images for unit in Unit},
            by_kind={kind: cycles / images for kind, cycles in by_kind.items()},
            bytes=self.program.program_bytes + loaded + self.store.bytes // images,
        )


def _in_order(
    sequence: Sequence[_Instruction], count: int, images: int
) -> Iterator[tuple[int, int, int, bool]]:
    """Yield image, number over all images, wakes, and whether it is the last of its image."""
    for image in range(images):
        for number, _, wakes, _ in sequence:
            yield image, number + (image + 1) * count, wakes, number == sequence[-1][0]


def _sequences(
    program: Program, unit_of: Sequence[Unit | None], units: Sequence[TimedUnit]
) -> list[list[_Instruction]]:
    """List the instructions of each unit in their order.

    Parameters
    ----------
    program : Program
    unit_of : sequence of Unit or None
        The unit of each instruction.
    units : sequence of TimedUnit
        All units by number; they know what an instruction costs.
    """
    count = len(unit_of)
    givers: defaultdict[tuple[int, int], list[int]] = defaultdict(list)  # by producer, consumer
    for number, signal in enumerate(program.signals):
        if signal:
            producer = unit_of[number]
            assert producer is not None
            for consumer in MEMBERS[signal]:
                givers[producer, consumer].append(number)
    credits = program.credits
    taken = {pair: -credits[pair[0]][pair[1]] for pair in givers}  # signals, by producer, consumer
    sequences: list[list[_Instruction]] = [[] for _ in Unit]
    costs = [unit.cost for unit in units]
    for number, (operation, unit, wait, signal) in enumerate(
        zip(program.operations, unit_of, program.waits, program.signals, strict=True)
    ):
        if unit is None:
            continue
        waits: tuple[tuple[int, int], ...] = ()
        for producer in MEMBERS[wait]:
            pair = producer, unit
            image, place = divmod(taken[pair], len(givers[pair]))
            taken[pair] += 1
            waits += ((number - givers[pair][place] - image * count, producer),)
        sequences[unit].append((number, waits, signal, costs[unit](operation)))
    return sequences
