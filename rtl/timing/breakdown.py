"""Breakdown of the matmul unit's cycles: multiplying, draining, and waiting by cause.

The simulation notes what each instruction waited for last (:mod:`rtl.timing.simulate`). The matmul
unit's cycles between the feeds that it found are idle, for a reason; the others are given to a kind
of layer, and are spent multiplying, or waiting until the drain has room.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rtl.compiler.operations import Program
from rtl.isa.instructions import Unit
from rtl.timing.port import MemoryTiming
from rtl.timing.simulate import WAITED_FOR_PROGRAM, WAITED_FOR_UNIT, Prediction
from rtl.timing.units import array_cycles

END = "end"  # the kind of the cycles behind an image's last MATMUL


class Wait(StrEnum):
    """Reasons for which the matmul unit is idle."""

    MEMORY = "memory"  # data that are on their way: bandwidth and latency
    ROOM = "room"  # data of a LOAD that found its ring or buffer full, while memory stood still
    RESULTS = "results"  # its own, which must have left the drain
    NORM = "norm"
    SOFTMAX = "softmax"
    STORE = "store"
    PROGRAM = "program"  # fetch, decode and queue: of the MATMUL, or of its LOAD as above
    START = "start"  # the unit itself, to begin an instruction


CAUSES = {
    Unit.MATMUL: Wait.RESULTS,
    Unit.NORM: Wait.NORM,
    Unit.SOFTMAX: Wait.SOFTMAX,
    Unit.STORE: Wait.STORE,
    WAITED_FOR_UNIT: Wait.START,
    WAITED_FOR_PROGRAM: Wait.PROGRAM,
}
"""What a cause of the simulation means; a LOAD has several meanings, see :class:`_AwaitedLoads`."""


@dataclass(frozen=True)
class Breakdown:
    """Cycles of one image; they add up to ``cycles``.

    Parameters
    ----------
    cycles : float
        Cycles from one image's end to the next one's, where three images or more were simulated;
        else those of the first image.
    multiplying : dict of str to float
        Cycles by kind of layer in which the array multiplies, padding included.
    draining : dict of str to float
        Cycles by kind of layer in which the array waits for the drain of the row tile before.
    waiting : dict of str to dict of Wait to float
        Cycles in which the matmul unit is idle, by the kind of layer that was to begin. Kind
        ``end`` is what follows the last layer; of images in a row, the remainder, a few cycles of
        either sign, as they overlap.
    """

    cycles: float
    multiplying: dict[str, float]
    draining: dict[str, float]
    waiting: dict[str, dict[Wait, float]]

    def waits(self) -> dict[Wait, float]:
        """Sum up the idle cycles by cause, the largest first."""
        total: defaultdict[Wait, float] = defaultdict(float)
        for causes in self.waiting.values():
            for wait, cycles in causes.items():
                total[wait] += cycles
        return dict(sorted(total.items(), key=lambda item: -item[1]))


def breakdown_of(program: Program, prediction: Prediction, memory: MemoryTiming) -> Breakdown:
    """Give every cycle of an image to a kind of layer and to what it was spent on.

    Parameters
    ----------
    program : Program
    prediction : Prediction
        Prediction of this program, with ``memory``.
    memory : MemoryTiming
    """
    images = len(prediction.starts) // len(program.operations)
    cycles = prediction.cycles_per_image
    counted = range(1, images) if cycles else range(1)
    cycles = cycles or prediction.cycles
    multiplying: defaultdict[str, float] = defaultdict(float)
    draining: defaultdict[str, float] = defaultdict(float)
    waiting: defaultdict[str, defaultdict[Wait, float]] = defaultdict(lambda: defaultdict(float))
    for feed in _feeds(program, prediction, memory, counted.stop):
        if feed.image in counted:
            multiplying[feed.kind] += feed.multiplying / len(counted)
            draining[feed.kind] += feed.draining / len(counted)
            for wait, idle in feed.waiting.items():
                waiting[feed.kind][wait] += idle / len(counted)
    found = sum(sum(part.values()) for part in (multiplying, draining, *waiting.values()))
    waiting[END][Wait.STORE] = cycles - found
    return Breakdown(
        cycles,
        dict(multiplying),
        dict(draining),
        {kind: dict(causes) for kind, causes in waiting.items()},
    )


@dataclass(frozen=True)
class _Feed:
    """One MATMUL: cycles in the array's feed, and those before it in which the unit is idle."""

    image: int
    kind: str
    multiplying: float
    draining: float
    waiting: dict[Wait, float]


def _feeds(
    program: Program, prediction: Prediction, memory: MemoryTiming, images: int
) -> Iterator[_Feed]:
    engine, count = program.plan.engine, len(program.operations)
    matmuls = [
        (number, operation, array_cycles(operation.operands, engine))
        for number, operation in enumerate(program.operations)
        if operation.unit is Unit.MATMUL
    ]
    loads = _AwaitedLoads(program, prediction, memory.latency_cycles, images)
    feeds, before = iter(prediction.feeds), 0.0
    for image in range(images):
        for number, operation, array in matmuls:
            begin, last = next(feeds)
            idle, cause = begin - before, prediction.causes[image * count + number]
            load, waiting = loads.waited_for(program.waits[number]), {}
            if idle and cause == Unit.LOAD:
                waiting = loads.split(load, idle)
            elif idle:
                waiting = {CAUSES[cause]: idle}
            yield _Feed(image, operation.subject.kind, array, last - begin - array, waiting)
            before = last


class _AwaitedLoads:
    """LOADs that MATMULs wait for, and how long memory stood still before them.

    Parameters
    ----------
    program : Program
    prediction : Prediction
    latency : int
        Latency of memory, in cycles: so long before its data a LOAD must be taken.
    images : int
    """

    def __init__(self, program: Program, prediction: Prediction, latency: int, images: int):
        operations = program.operations
        loads = [i for i, operation in enumerate(operations) if operation.unit is Unit.LOAD]
        self.numbers = [image * len(operations) + i for image in range(images) for i in loads]
        signal = 1 << Unit.MATMUL
        places = [place for place, i in enumerate(loads) if program.signals[i] & signal]
        # Places in ``numbers`` of the LOADs that signal to MATMULs, which wait for them in turn.
        self.signals = [image * len(loads) + place for image in range(images) for place in places]
        credits = program.credits[Unit.LOAD][Unit.MATMUL]
        self.waited = -credits  # the next wait's place in ``signals``
        self.prediction = prediction
        self.latency = latency
        self.counted = 0  # LOADs up to the latest one that the unit was idle for

    def waited_for(self, wait: int) -> int:
        """Find the LOAD whose signal a MATMUL with these waits takes; call it for every MATMUL."""
        if not wait >> Unit.LOAD & 1:
            return 0
        self.waited += 1
        return self.signals[self.waited - 1] if self.waited > 0 else 0

    def split(self, load: int, idle: float) -> dict[Wait, float]:
        """Split the idle cycles that end with a LOAD by their causes.

        Memory stands still while a LOAD waits for room, or for being decoded. These cycles, of this
        LOAD and of those since the last one that was counted, have their own causes; the rest is
        the memory's bandwidth and latency.
        """
        parts = dict.fromkeys((Wait.ROOM, Wait.PROGRAM, Wait.MEMORY), 0.0)
        for place in range(self.counted + 1, load + 1):
            cause = self.prediction.causes[self.numbers[place]]
            if cause != WAITED_FOR_UNIT:
                wait = Wait.PROGRAM if cause == WAITED_FOR_PROGRAM else Wait.ROOM
                parts[wait] += self._still(place)
        self.counted = max(self.counted, load)
        parts[Wait.ROOM] = min(parts[Wait.ROOM], idle)
        parts[Wait.PROGRAM] = min(parts[Wait.PROGRAM], idle - parts[Wait.ROOM])
        parts[Wait.MEMORY] = idle - parts[Wait.ROOM] - parts[Wait.PROGRAM]
        return {wait: cycles for wait, cycles in parts.items() if cycles}

    def _still(self, place: int) -> float:
        """Cycles without data between the LOAD before and the earliest data of this one."""
        before, number = self.numbers[place - 1 : place + 1]
        begin = self.prediction.starts[number] + self.latency
        return max(0.0, begin - self.prediction.ends[before])
