"""Places LOADs among the computing operations: as early as the rings have room.

Requests are loaded in the order of their first use. After each computing operation, requests that
fit in front of what is still needed are placed, up to a number of waiting LOADs that the load
unit's queue can hold: more would make the fetcher wait, and every other unit with it.
"""

from collections import deque
from collections.abc import Iterable

from rtl.compiler.operations import Operation, Region, Space
from rtl.compiler.requests import Pads, Request, ring_regions
from rtl.compiler.sizes import Sizes


def prefetch(compute: list[Operation], sizes: Sizes) -> list[Operation]:
    """Computing operations and LOADs in program order; addresses of loaded words filled in."""
    return _Prefetch(compute, sizes).operations


class _Prefetch:
    def __init__(self, compute: list[Operation], sizes: Sizes):
        self.pads = Pads(sizes)
        self.waiting = deque(_by_first_use(compute))
        self.limit = max(2, sizes.engine.queue_depth - 4)
        self.ahead: dict[Request, int] = {}  # placed and not used yet: LOADs
        self.ahead_loads = 0
        self.operations: list[Operation] = []
        for operation in compute:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        for request in operation.needs:
            while not request.placed:
                assert self.waiting[0].fits(self.pads), "limits.check accepts too much"
                self._place(self.waiting.popleft())
            if request in self.ahead:
                self.ahead_loads -= self.ahead.pop(request)
            request.resolve(operation)
        if operation.run is not None:
            _resolve(operation, self.pads.weights.words)
        self.operations.append(operation)
        for request in operation.needs:
            request.users -= 1
            if not request.users:
                request.release(self.pads)
        while self.waiting and self._may_place(self.waiting[0]):
            self._place(self.waiting.popleft())

    def _may_place(self, request: Request) -> bool:
        return self.ahead_loads + request.loads <= self.limit and request.fits(self.pads)

    def _place(self, request: Request) -> None:
        loads = request.place(self.pads)
        request.placed = True
        self.ahead[request] = len(loads)
        self.ahead_loads += len(loads)
        self.operations += loads


def _by_first_use(compute: Iterable[Operation]) -> Iterable[Request]:
    """Every request once; counts its users on the way."""
    order: dict[Request, None] = {}
    for operation in compute:
        for request in operation.needs:
            order[request] = None
            request.users += 1
    return order


def _resolve(operation: Operation, ring_words: int) -> None:
    """Fill in where a MATMUL's weights and parameters lie."""
    run = operation.run
    address = (run.block.address + run.word) % ring_words
    parameters = run.block.parameter_address + run.parameter
    operation.operands["weight_address"] = address
    operation.operands["parameter_address"] = parameters
    operation.reads += ring_regions(address, run.words, ring_words)
    operation.reads.append(Region(Space.PARAMETERS, parameters, parameters + run.count))
