"""Wait and signal marks from what operations read and write.

Two in-order units, producer and consumer: "consumer's operation c needs producer's operations up
to p" only grows with c. So p signals and c waits just where p grows; every signal has one wait,
and all semaphores are back at zero at END.

Reads of the feed (activations, pixels, keys, values, weights) come before the drain's writes of
the same MATMUL, and MATMULs do both in order. So among MATMULs only one hazard exists: the feed
reads what an earlier drain writes. All other units finish an instruction before the next.
"""

from bisect import bisect_right
from collections.abc import Sequence

from rtl.compiler.operations import Operation, Space
from rtl.control.isa import SEMAPHORE_BITS, UNITS, Unit
from rtl.errors import UserError

FED_BY_DRAIN = frozenset({Space.ACTIVATIONS, Space.KEYS, Space.VALUES})
NEVER = -1


class _Accesses:
    """Latest writer and reader of each address of one space, by unit.

    Addresses are kept as segments between boundaries that some region has; ``writers[i]`` and
    ``readers[i]`` belong to addresses ``starts[i]`` ... ``starts[i + 1] - 1``.
    """

    def __init__(self) -> None:
        self.starts = [0]
        self.writers = [[NEVER] * UNITS]
        self.readers = [[NEVER] * UNITS]

    def segments(self, start: int, stop: int) -> range:
        """Indices of the segments that make up a region."""
        first = self._cut(start)
        return range(first, self._cut(stop))

    def _cut(self, address: int) -> int:
        """Index of the segment that starts at ``address``, made if there is none."""
        i = bisect_right(self.starts, address) - 1
        if self.starts[i] == address:
            return i
        self.starts.insert(i + 1, address)
        self.writers.insert(i + 1, self.writers[i].copy())
        self.readers.insert(i + 1, self.readers[i].copy())
        return i + 1


def dependencies(operations: Sequence[Operation]) -> list[list[int]]:
    """Per operation and unit, the latest earlier operation that must be complete before it starts.

    ``NEVER`` where there is none.
    """
    spaces = [_Accesses() for _ in Space]
    return [_needed(operation, i, spaces) for i, operation in enumerate(operations)]


def _needed(operation: Operation, number: int, spaces: list[_Accesses]) -> list[int]:
    needed = [NEVER] * UNITS
    unit = operation.unit
    if unit is None:
        return needed
    own = NEVER
    touched = []
    for region in operation.reads:
        accesses = spaces[region.space]
        for i in accesses.segments(region.start, region.stop):
            writers = accesses.writers[i]
            needed = list(map(max, needed, writers))
            if region.space in FED_BY_DRAIN:
                own = max(own, writers[unit])
        touched.append((accesses, region, False))
    for region in operation.writes:
        accesses = spaces[region.space]
        for i in accesses.segments(region.start, region.stop):
            needed = list(map(max, needed, accesses.writers[i], accesses.readers[i]))
        touched.append((accesses, region, True))
    for accesses, region, written in touched:
        for i in accesses.segments(region.start, region.stop):
            (accesses.writers if written else accesses.readers)[i][unit] = number
    needed[unit] = own if unit is Unit.MATMUL else NEVER
    return needed


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
