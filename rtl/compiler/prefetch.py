"""Places LOADs among the computing operations: as early as the rings have room.

Requests are loaded in the order of their first use. After each computing operation, requests that
fit in front of what is still needed are placed, up to a number of waiting LOADs that the load
unit's queue can hold: more would make the fetcher wait, and every other unit with it. A place that
is taken again may still be in use when the LOAD is decoded; that the LOAD then waits is up to
:mod:`rtl.compiler.synchronise`.
"""

from collections import deque
from collections.abc import Iterable

from rtl.compiler.operations import Operation
from rtl.compiler.requests import Request, Scratchpads
from rtl.compiler.sizes import Sizes

QUEUE_RESERVE = 4  # entries of the load unit's queue that LOADs ahead of their use leave free


def prefetch(compute: list[Operation], sizes: Sizes) -> list[Operation]:
    """Computing operations and LOADs in program order; addresses of loaded words filled in."""
    return _Prefetch(compute, sizes).operations


class _Prefetch:
    """The program so far, and what is loaded at this point of it."""

    def __init__(self, compute: list[Operation], sizes: Sizes):
        self.pads = Scratchpads(sizes)
        self.waiting = deque(_by_first_use(compute))
        self.limit = max(2, sizes.engine.queue_depth - QUEUE_RESERVE)  # of LOADs ahead of their use
        self.ahead: dict[Request, int] = {}  # placed and not used yet, with their LOADs
        self.ahead_loads = 0  # their sum
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
