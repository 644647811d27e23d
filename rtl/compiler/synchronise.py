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
from collections.abc import Sequence
from typing import NamedTuple

from rtl.compiler.operations import MemorySpace, Operation, Program, Span
from rtl.compiler.tiles import evenly
from rtl.errors import UserError
from rtl.isa.instructions import CREDIT_BITS, SEMAPHORE_BITS, UNIT_OF, UNITS, Unit

FED_BY_DRAIN = frozenset({MemorySpace.ACTIVATIONS, MemorySpace.KEYS, MemorySpace.VALUES})
MOST_CREDITS = (1 << CREDIT_BITS) - 1


class Marks(NamedTuple):
    """Waits and signals beside a program's operations, a bit per unit.

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


_Wait = tuple[int, int]
"""The place of a consumer's operation, and the number (:data:`NEVER`) of the producer's operation
that it waits for."""


def synchronise(operations: Sequence[Operation]) -> Marks:
    """Waits and signals of all operations, for a program that is run again and again."""
    count = len(operations)
    marks = Marks([0] * count, [0] * count, [[0] * UNITS for _ in range(UNITS)])
    for (producer, consumer), growing in _growing(operations).items():
        for waiting, needed in _bounded(growing, count):
            marks.waits[waiting] |= 1 << producer
            marks.signals[needed % count] |= 1 << consumer
            marks.credits[producer][consumer] += needed < count
    return marks


def _growing(operations: Sequence[Operation]) -> dict[tuple[int, int], list[_Wait]]:
    """Find the waits of each pair: the consumer's operations that need more than all before them.

    All of the image before included: it has waited for the same operations.

    Returns
    -------
    dict of (producer, consumer) to list of _Wait
    """
    latest = [[NEVER] * UNITS for _ in range(UNITS)]  # [consumer][producer]
    grown: dict[tuple[int, int], list[_Wait]] = {}
    for place, (unit, needs) in enumerate(needed_operations(operations)):
        most = latest[unit]
        for producer, needed in enumerate(needs):
            if needed > most[producer]:
                most[producer] = needed
                grown.setdefault((producer, unit), []).append((place, needed))
    for pair, waits in grown.items():
        covered = waits[-1][1] - len(operations)  # by the image before
        grown[pair] = [wait for wait in waits if wait[1] > covered]
    return grown


def _bounded(waits: list[_Wait], count: int) -> list[_Wait]:
    """Merge waits for the image before until BEGIN has credits for all of them.

    Neighbours are merged, as evenly as possible: the first of some waits for what the last of
    them needs.
    """
    before = [wait for wait in waits if wait[1] < count]
    parts = evenly(before, min(len(before), MOST_CREDITS)) if before else []
    together = [(part[0][0], part[-1][1]) for part in parts]
    return together + waits[len(before) :]


# ---------------------------------------------------------------- dependencies

NEVER = -1
"""The number of no operation. Those of the image before count from 0, those of this one go on."""


class _Segment:
    """Addresses that were always accessed together.

    The latest writer is enough: it started after all earlier accesses were complete. Readers are
    those since then, the latest of each unit.
    """

    __slots__ = ("readers", "start", "stop", "writer", "writer_unit")

    def __init__(
        self, start: int, stop: int, writer: int, writer_unit: int, readers: dict[int, int]
    ):
        self.start = start
        self.stop = stop
        self.writer = writer
        self.writer_unit = writer_unit
        self.readers = readers


class _Accesses(dict[Span, list[_Segment]]):
    """Latest writer and readers of each address of one space.

    The segments that make up a span: found when they are asked for, and kept until one is cut.
    """

    def __init__(self) -> None:
        self.starts = [0]  # of the segments, ascending
        self.segments = {0: _Segment(0, 1 << 32, NEVER, 0, {})}

    def __missing__(self, span: Span) -> list[_Segment]:
        _, start, stop = span
        if start not in self.segments:
            self._cut(start)
        if stop not in self.segments:
            self._cut(stop)
        segments = self[span] = []
        while start < stop:
            segments.append(self.segments[start])
            start = segments[-1].stop
        return segments

    def _cut(self, address: int) -> None:
        """Let a segment begin at ``address``."""
        i = bisect_right(self.starts, address)
        before = self.segments[self.starts[i - 1]]
        self.segments[address] = _Segment(
            address, before.stop, before.writer, before.writer_unit, before.readers.copy()
        )
        before.stop = address
        self.starts.insert(i, address)
        self.clear()


class _FirstAccess(NamedTuple):
    """An access to addresses that the image has not written yet: the image before counts, too.

    Parameters
    ----------
    needs : list of int
        What the operation needs, a list that is still to be filled in.
    unit : Unit
    span : Span
    writes : bool
    """

    needs: list[int]
    unit: Unit
    span: Span
    writes: bool


def needed_operations(operations: Sequence[Operation]) -> list[tuple[Unit, list[int]]]:
    """Find each operation's unit, and by unit the latest operation that must be complete before it.

    Together with what those need, this is enough. Whatever an image touches was touched by the
    image before, too, so nothing older is needed.

    Parameters
    ----------
    operations : sequence of Operation
        Those of units: BEGIN and END, which need nothing, are not among them.

    Returns
    -------
    list of (Unit, list of int)
        Numbers of operations by unit, or :data:`NEVER`.
    """
    spaces = [_Accesses() for _ in MemorySpace]
    first: list[_FirstAccess] = []
    count = len(operations)
    found: list[tuple[Unit, list[int]]] = []
    for number, operation in enumerate(operations, count):
        unit = UNIT_OF[operation.opcode]
        found.append((unit, _needs_of(operation, unit, number, spaces, first)))
    # The image ends as the one before did.
    for needs, unit, span, writes in first:
        fed = not writes and span.space in FED_BY_DRAIN and unit is Unit.MATMUL
        for segment in spaces[span.space][span]:
            accesses = [(segment.writer_unit, segment.writer)]
            if writes:
                accesses += segment.readers.items()
            for other, number in accesses:
                if other != unit or fed:
                    needs[other] = max(needs[other], number - count)
    return found


def _needs_of(
    operation: Operation,
    unit: Unit,
    number: int,
    spaces: list[_Accesses],
    first: list[_FirstAccess],
) -> list[int]:
    """Needs of one operation within its image; notes what it accesses."""
    needs = [NEVER] * UNITS
    for span in operation.reads:
        space = span[0]
        own_too = space in FED_BY_DRAIN
        for segment in spaces[space][span]:
            writer, writer_unit = segment.writer, segment.writer_unit
            if writer == NEVER:
                part = Span(space, segment.start, segment.stop)
                first.append(_FirstAccess(needs, unit, part, False))
            elif writer > needs[writer_unit] and (writer_unit != unit or own_too):
                needs[writer_unit] = writer
            segment.readers[unit] = number
    fed = needs[unit]  # the latest of its own unit whose results it reads
    for span in operation.writes:
        space = span[0]
        for segment in spaces[space][span]:
            writer, writer_unit = segment.writer, segment.writer_unit
            if writer == NEVER:
                part = Span(space, segment.start, segment.stop)
                first.append(_FirstAccess(needs, unit, part, True))
            elif writer > needs[writer_unit]:
                needs[writer_unit] = writer
            if segment.readers:
                for reader_unit, reader in segment.readers.items():
                    if reader > needs[reader_unit]:
                        needs[reader_unit] = reader
                segment.readers = {}
            segment.writer, segment.writer_unit = number, unit
    needs[unit] = fed if unit is Unit.MATMUL else NEVER
    return needs


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
