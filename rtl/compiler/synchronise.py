"""Wait and signal marks from what operations read and write.

Two in-order units, producer and consumer: "consumer's operation c needs producer's operations up
to p" only grows with c. So p signals and c waits just where p grows; every signal has one wait,
and all semaphores are back at zero at END.

Reads of the feed (activations, pixels, keys, values, weights) come before the drain's writes of
the same MATMUL, and MATMULs do both in order. So among MATMULs only one hazard exists: the feed
reads what an earlier drain writes. All other units finish an instruction before the next.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from rtl.compiler.operations import Operation, Region, Space
from rtl.control.isa import SEMAPHORE_BITS, UNITS, Unit
from rtl.errors import UserError

FED_BY_DRAIN = frozenset({Space.ACTIVATIONS, Space.KEYS, Space.VALUES})
NEVER = -1  # the number of no operation


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
    spaces = [_Accesses() for _ in Space]
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


def synchronise(operations: Sequence[Operation]) -> None:
    """Set ``wait`` and ``signal`` of all operations."""
    covered = [[NEVER] * UNITS for _ in range(UNITS)]  # [consumer][producer]
    for operation, needed in zip(operations, dependencies(operations), strict=True):
        if operation.unit is None:
            continue
        already = covered[operation.unit]
        for producer, latest in enumerate(needed):
            if latest > already[producer]:
                already[producer] = latest
                operation.wait |= 1 << producer
                operations[latest].signal |= 1 << operation.unit


def check_semaphores(operations: Sequence[Operation], queue_depth: int) -> None:
    """Refuse a program in which a semaphore might overflow.

    When the fetcher stands at an operation, everything before may be complete, except what waits
    in a consumer's full queue.

    Raises
    ------
    UserError
        Names the pair of units.
    """
    highest = (1 << SEMAPHORE_BITS) - 1
    for producer in Unit:
        for consumer in Unit:
            most = _most_raised(operations, producer, consumer, queue_depth)
            if most > highest:
                raise UserError(
                    f"program raises semaphore {producer.name.lower()} to {consumer.name.lower()}"
                    f" up to {most} times, {most - highest} more than {SEMAPHORE_BITS} bits hold"
                )


def _most_raised(
    operations: Sequence[Operation], producer: Unit, consumer: Unit, queue_depth: int
) -> int:
    raised = most = 0
    queue: list[int] = []  # 1 for each queued operation of the consumer that waits
    for operation in operations:
        if operation.unit is producer and operation.signal >> consumer & 1:
            raised += 1
        if operation.unit is consumer:
            queue.append(operation.wait >> producer & 1)
            if len(queue) > queue_depth:
                raised -= queue.pop(0)
        most = max(most, raised)
    return most
