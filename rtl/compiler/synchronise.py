"""Wait and signal marks from what operations read and write.

Two in-order units, producer and consumer: "consumer's operation c needs producer's operations up
to p" only grows with c. So p signals and c waits just where p grows, and every signal has one wait.

A program is run once per image, without a pause, so its operations also need some of the image
before. Signals that one image gives to the next are the *credits* with which the first one starts
(docs/design/0006-image-overlap.md).

Reads of the feed (activations, pixels, keys, values, weights) come before the drain's writes of
the same MATMUL, and MATMULs do both in order. So among MATMULs only one hazard exists: the feed
reads what an earlier drain writes. All other units finish an instruction before the next.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rtl.compiler.operations import MemorySpace, Operation, Program, Region
from rtl.compiler.sizes import evenly
from rtl.errors import UserError
from rtl.isa.instructions import CREDIT_BITS, SEMAPHORE_BITS, UNITS, Unit

FED_BY_DRAIN = frozenset({MemorySpace.ACTIVATIONS, MemorySpace.KEYS, MemorySpace.VALUES})
NEVER = -1  # the number of no operation
MOST_CREDITS = (1 << CREDIT_BITS) - 1


class _Segment:
    """Addresses that were always accessed together.

    The latest writer is enough: it started after all earlier accesses were complete. Readers are
    those since then, the latest of each unit.
    """

    __slots__ = ("readers", "stop", "writer", "writer_unit")

    def __init__(self, stop: int, writer_unit: int, writer: int, readers: dict[int, int]):
        self.stop = stop
        self.writer_unit = writer_unit
        self.writer = writer
        self.readers = readers


class _Accesses:
    """Latest writer and readers of each address of one space."""

    def __init__(self) -> None:
        self.starts = [0]  # of the segments, ascending
        self.segments = {0: _Segment(1 << 32, 0, NEVER, {})}

    def of(self, region: Region) -> Iterator[_Segment]:
        """Segments that make up a region."""
        start, stop = region.start, region.stop
        if start not in self.segments:
            self._cut(start)
        if stop not in self.segments:
            self._cut(stop)
        while start < stop:
            segment = self.segments[start]
            yield segment
            start = segment.stop

    def _cut(self, address: int) -> None:
        """Let a segment begin at ``address``."""
        i = bisect_right(self.starts, address)
        before = self.segments[self.starts[i - 1]]
        self.segments[address] = _Segment(
            before.stop, before.writer_unit, before.writer, before.readers.copy()
        )
        before.stop = address
        self.starts.insert(i, address)


def dependencies(operations: Sequence[Operation]) -> list[list[int]]:
    """Per operation and unit, an earlier operation that must be complete before it starts.

    ``NEVER`` where there is none. Together with what those depend on, this is enough.
    """
    spaces = [_Accesses() for _ in MemorySpace]
    return [_needed(operation, i, spaces) for i, operation in enumerate(operations)]


def _needed(operation: Operation, number: int, spaces: list[_Accesses]) -> list[int]:
    needed = [NEVER] * UNITS
    unit = operation.unit
    if unit is None:
        return needed
    fed = NEVER  # the latest MATMUL whose results this one's feed reads
    for region in operation.reads:
        for segment in spaces[region.space].of(region):
            if segment.writer > needed[segment.writer_unit]:
                needed[segment.writer_unit] = segment.writer
            if segment.writer_unit == unit and region.space in FED_BY_DRAIN:
                fed = max(fed, segment.writer)
    for region in operation.writes:
        for segment in spaces[region.space].of(region):
            if segment.writer > needed[segment.writer_unit]:
                needed[segment.writer_unit] = segment.writer
            for reader_unit, reader in segment.readers.items():
                if reader > needed[reader_unit]:
                    needed[reader_unit] = reader
    _record(operation, unit, number, spaces)
    needed[unit] = fed if unit is Unit.MATMUL else NEVER
    return needed


def _record(operation: Operation, unit: Unit, number: int, spaces: list[_Accesses]) -> None:
    for region in operation.reads:
        for segment in spaces[region.space].of(region):
            segment.readers[unit] = number
    for region in operation.writes:
        for segment in spaces[region.space].of(region):
            segment.writer_unit, segment.writer = unit, number
            segment.readers = {}


class Marks(NamedTuple):
    """Who waits for whom, beside the operations: a bit per unit.

    Parameters
    ----------
    waits : list of int
        Per operation, the producers whose semaphore it waits for.
    signals : list of int
        Per operation, the consumers whose semaphore it raises when it is done.
    credits : list of list of int, [producer][consumer]
        Signals that the first image's operations wait for and that no image before has given.
    """

    waits: list[int]
    signals: list[int]
    credits: list[list[int]]


def synchronise(operations: Sequence[Operation]) -> Marks:
    """Waits and signals of all operations, for a program that is run again and again."""
    marks = Marks([0] * len(operations), [0] * len(operations), [[0] * UNITS for _ in range(UNITS)])
    needs = cyclic_dependencies(operations)
    for producer in Unit:
        for consumer in Unit:
            pair = [(i, need[producer]) for i, need in needs if operations[i].unit is consumer]
            waits = _bounded(_growing(pair, len(operations)))
            for waiting, needed in waits:
                marks.waits[waiting] |= 1 << producer
                marks.signals[needed] |= 1 << consumer  # a negative one: of the same program
                marks.credits[producer][consumer] += needed < 0
    return marks


def cyclic_dependencies(operations: Sequence[Operation]) -> list[tuple[int, list[int | None]]]:
    """Per operation its number, and by unit the operation that must be complete, as in
    :func:`dependencies`; a negative number counts from the end of the image before.

    Whatever an image touches was touched by the image before, too. So nothing older is needed,
    and what the second of two images needs is what every later one does.
    """
    count = len(operations)
    of_second = dependencies([*operations, *operations])[count:]
    return [
        (number, [None if at == NEVER else at - count for at in needed])
        for number, needed in enumerate(of_second)
    ]


def _growing(pair: list[tuple[int, int | None]], count: int) -> list[tuple[int, int]]:
    """Of a consumer's (operation, needed operation), those that need more than all before.

    All of the image before included: it has waited for the same operations, ``count`` earlier.
    """
    covered = max((needed for _, needed in pair if needed is not None), default=0) - count
    waits = []
    for number, needed in pair:
        if needed is not None and needed > covered:
            waits.append((number, needed))
            covered = needed
    return waits


def _bounded(waits: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """No more waits for the image before than BEGIN has credits for.

    Beyond that they are put together, as evenly as possible: the first of some waits for what
    the last of them needs.
    """
    before = [wait for wait in waits if wait[1] < 0]
    parts = evenly(before, min(len(before), MOST_CREDITS)) if before else []
    return [(part[0][0], part[-1][1]) for part in parts] + waits[len(before) :]


def check_semaphores(program: Program) -> None:
    """Refuse a program in which a semaphore might overflow.

    When the fetcher stands at an operation, everything before may be complete, except what waits
    in a consumer's full queue; of two images, as the image before these is complete.

    Raises
    ------
    UserError
        Names the pair of units.
    """
    highest = (1 << SEMAPHORE_BITS) - 1
    credits = program.credits
    for producer in Unit:
        for consumer in Unit:
            most = credits[producer][consumer] + _most_raised(program, producer, consumer)
            if most > highest:
                raise UserError(
                    f"program raises semaphore {producer.name.lower()} to {consumer.name.lower()}"
                    f" up to {most} times, {most - highest} more than {SEMAPHORE_BITS} bits hold"
                )


def _most_raised(program: Program, producer: Unit, consumer: Unit) -> int:
    raised = most = 0
    queue: deque[int] = deque()  # 1 for each queued operation of the consumer that waits
    marked = list(zip(program.operations, program.waits, program.signals, strict=True))
    for operation, wait, signal in marked * 2:
        if operation.unit is producer and signal >> consumer & 1:
            raised += 1
        if operation.unit is consumer:
            queue.append(wait >> producer & 1)
            if len(queue) > program.plan.engine.queue_depth:
                raised -= queue.popleft()
        most = max(most, raised)
    return most
