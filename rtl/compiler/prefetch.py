"""LOADs among the computing operations: as early as the rings have room.

Requests are loaded in the order of their first use. After each computing operation, requests that
fit in front of what is still needed are placed, up to a number of waiting LOADs that the load
unit's queue can hold: more would make the fetcher wait, and every other unit with it. A place that
is taken again may still be in use when the LOAD is decoded; that the LOAD then waits is up to
:mod:`rtl.compiler.synchronise`.

Images follow each other without a pause, and every image begins at the first words of the rings.
The last requests of an image therefore leave those words alone that the first ones of the next
image take: else these would wait until the image is done.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate

from rtl.compiler.allocator import Allocator, Ring
from rtl.compiler.operations import Operation
from rtl.compiler.requests import Pending, Request, Resident
from rtl.compiler.sizes import Plan

QUEUE_RESERVE = 4  # entries of the load unit's queue that LOADs ahead of their use leave free
HEAD_PARTS = 8  # the first requests that the last ones leave alone: at most this part of a ring


def prefetch(compute: Sequence[Pending], plan: Plan) -> list[Operation]:
    """Place LOADs among computing operations, and fill in the addresses of loaded words.

    Parameters
    ----------
    compute : sequence of Pending
        Computing operations, in the order of the program.
    plan : Plan
    """
    return _Prefetch(compute, plan).operations


class _Prefetch:
    """The program so far, and what is loaded at this point of it."""

    def __init__(self, compute: Sequence[Pending], plan: Plan):
        self.pads = Allocator(plan)
        self.users = _users(compute)  # operations that still need each request, by first use
        self.waiting = deque(self.users)
        self.limit = max(2, plan.engine.queue_depth - QUEUE_RESERVE)  # of LOADs ahead of their use
        self.resident: dict[Request, Resident] = {}
        self.ahead: dict[Request, int] = {}  # placed and not used yet, with their LOADs
        self.ahead_loads = 0  # their sum
        self.operations: list[Operation] = []
        self.floors = _floors(self.waiting, self.pads)
        for operation, requests in compute:
            if requests:
                self._add(operation, requests)
            else:
                self.operations.append(operation)

    def _add(self, operation: Operation, requests: Sequence[Request]) -> None:
        """Add an operation, the LOADs that it lacks before it, others behind it."""
        changed = False  # whether there may be room for more LOADs
        for request in requests:
            while request not in self.resident:
                self._place_first()
            if request in self.ahead:
                self.ahead_loads -= self.ahead.pop(request)
                changed = True
            operation = self.resident[request].complete(operation)
        self.operations.append(operation)
        for request in requests:
            self.users[request] -= 1
            if not self.users[request]:
                request.release(self.pads)
                changed = True
        if changed:
            self._place_ahead()

    def _place_ahead(self) -> None:
        """Place requests ahead of their use, as many as may be."""
        while self.waiting:
            request = self._next()
            if self.ahead_loads + request.loads > self.limit or not request.fits(self.pads):
                return
            self._place()

    def _place_first(self) -> None:
        """Place the next request, which is needed now: even where the next image begins."""
        request = self._next()
        if not request.fits(self.pads):
            for ring, _ in request.rings(self.pads):
                ring.floor = 0
        assert request.fits(self.pads), "plan() accepts too much"
        self._place()

    def _next(self) -> Request:
        """The next request; from the last ones on, rings keep their first words free."""
        request = self.waiting[0]
        for ring, floor in self.floors.pop(request, ()):
            ring.floor = floor
        return request

    def _place(self) -> None:
        request = self.waiting.popleft()
        resident = request.place(self.pads)
        self.resident[request] = resident
        self.ahead[request] = len(resident.loads)
        self.ahead_loads += len(resident.loads)
        self.operations += resident.loads


def _users(compute: Iterable[Pending]) -> dict[Request, int]:
    """Every request in the order of first use, and how many operations need it."""
    users: dict[Request, int] = {}
    for _, requests in compute:
        for request in requests:
            users[request] = users.get(request, 0) + 1
    return users


def _floors(requests: Iterable[Request], pads: Allocator) -> dict[Request, list[tuple[Ring, int]]]:
    """Per request (ring, words): from it on, the ring's first words are left to the next image.

    These are the words of the first requests, up to a part of the ring; and "from it on" are as
    many as fit behind them.
    """
    floors: dict[Request, list[tuple[Ring, int]]] = {}
    takers: dict[Ring, list[tuple[Request, int]]] = {}
    for request in requests:
        for ring, words in request.rings(pads):
            takers.setdefault(ring, []).append((request, words))
    for ring, taken in takers.items():
        sums = [0, *accumulate(words for _, words in taken)]
        head = bisect_right(sums, ring.words // HEAD_PARTS) - 1  # requests
        tail = max(head, bisect_left(sums, sums[-1] + sums[head] - ring.words))
        if head and tail < len(taken):
            floors.setdefault(taken[tail][0], []).append((ring, sums[head]))
    return floors
