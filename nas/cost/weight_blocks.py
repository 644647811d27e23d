"""When weights can be loaded: the ring's and the queues' room, weight block by weight block.

The compiler cuts the weights of a phase into blocks, a quarter of the ring at most. A block's LOAD
waits until older ones gave back as many words as it takes, and until the program, which is decoded
in order, has come to it. Both depend only on sizes: *which* block must be through, or how far, is
found here; :mod:`nas.cost.latency` knows when. Arrays have the shape (blocks, networks); phases
have as many places for blocks as the network of the batch with the most, and the others are empty.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise

import numpy as np

from nas.cost.cutting import Cut, rows_of
from nas.cost.networks import Array
from nas.cost.phases import Phases
from nas.cost.sizes import divide_up
from rtl.compiler.prefetch import HEAD_PARTS, QUEUE_RESERVE
from rtl.compiler.requests import WeightBlock
from rtl.config import EngineConfig

TOLERANCE = 1e-6  # of words and instructions, whose numbers are sums of fractions


@dataclass(frozen=True, eq=False)
class WeightBlocks:
    """Weight blocks in the order of their use.

    Parameters
    ----------
    of_phase : list of range
        The places of each phase.
    compute : cycles that the matmul unit uses a block
    behind : cycles from its last use to the next block's first one
    share, part : of its phase's loads, of its group's
    room : blocks that must be through before there is room in the ring
    decoded_in, decoded_at : the block in which its LOAD is decoded, -1 if before the first one,
        and when: 0 with the block's beginning, 1 with its end
    """

    of_phase: list[range]
    compute: Array
    behind: Array
    share: Array
    part: Array
    room: Array
    decoded_in: Array
    decoded_at: Array

    @cached_property
    def exists(self) -> Array:
        return self.share > 0

    def shared(self, values: Array) -> Array:
        """Each phase's value, (n, phases), shared among its blocks."""
        counts = [len(places) for places in self.of_phase]
        return np.repeat(rows_of(values), counts, axis=0) * self.share

    @classmethod
    def of(cls, phases: Phases, embed_groups: Array, engine: EngineConfig) -> "WeightBlocks":
        """Of networks.

        Parameters
        ----------
        phases : Phases
        embed_groups : (n,) int
            How often the embedding's weights are loaded.
        engine : EngineConfig
        """
        return _Builder(phases, embed_groups, engine).blocks()


class _Builder:
    def __init__(self, phases: Phases, embed_groups: Array, engine: EngineConfig):
        self.phases, self.embed_groups, self.engine = phases, embed_groups, engine
        most = [cut.words.shape[1] for cut in phases.cuts]
        ends = np.cumsum(most)
        self.of_phase = [range(end - count, end) for end, count in zip(ends, most, strict=True)]
        self.phase = np.repeat(np.arange(len(most)), most)
        self.begins = np.concatenate([np.arange(count) == 0 for count in most])
        self.words, self.group, self.part, self.ends = (
            rows_of(np.concatenate([getattr(cut, field.name) for cut in phases.cuts], axis=1))
            for field in fields(Cut)
        )
        self.exists = self.words > 0

    def _by_phase(self, values: Array) -> Array:
        """(blocks, n) from (n, phases)."""
        return rows_of(values)[self.phase]

    def blocks(self) -> WeightBlocks:
        compute, behind = self._cycles()
        of_phase = np.stack([cut.words.sum(axis=1) for cut in self.phases.cuts])
        share = self.words / np.maximum(1, of_phase[self.phase])
        room = self._room()
        decoded_in, decoded_at = self._decoded(share, room)
        return WeightBlocks(
            self.of_phase,
            compute,
            behind,
            share,
            self.part,
            room,
            decoded_in,
            decoded_at,
        )

    def _cycles(self) -> tuple[Array, Array]:
        steps = self.phases.steps
        last_group = rows_of(self.phases.groups) - 1
        first, middle, last, between, behind = (
            rows_of(values)
            for values in (steps.first, steps.middle, steps.last, steps.between, steps.behind)
        )
        compute, rest = np.empty(self.part.shape), np.empty(self.part.shape)
        ends = self.exists & self.ends
        for phase, places in enumerate(self.of_phase):  # one by one: they stay in the cache
            at = slice(places.start, places.stop)
            group, is_last = self.group[at], self.group[at] == last_group[phase]
            later = np.where(is_last, last[phase], middle[phase])
            compute[at] = np.where(group == 0, first[phase], later) * self.part[at]
            rest[at] = np.where(is_last, behind[phase], between[phase]) * ends[at]
        return compute, rest

    def _room(self) -> Array:
        ring = self.engine.weight_words
        words = _summed(self.words + self._left_for_the_next_image())
        return np.where(words > ring, _first(words, words - ring) + 1, 0)

    def _left_for_the_next_image(self) -> Array:
        """Words in front of a block that the last blocks leave alone, and those that they skip.

        As in :mod:`rtl.compiler.prefetch`: the first blocks of an image, a part of the ring at
        most, are not overwritten by the last ones, and these do not go over the ring's end.
        """
        ring, words = self.engine.weight_words, self.words
        ends = _summed(words)
        total = ends[-1]
        head = np.where(ends <= ring // HEAD_PARTS, ends, 0).max(axis=0)
        if not head.any():
            return np.zeros_like(words)
        tail = (head > 0) & (ends - words >= total + head - ring)
        before = (self.embed_groups - 1) * words[list(self.of_phase[0])].sum(axis=0)
        begins = ends - words + before
        turn = divide_up(begins, ring) * ring  # the ring's next end
        goes_over = tail & (begins + words > turn) & (words > 0)
        first = goes_over & (_summed(goes_over.astype(int)) == 1)
        return np.where(first, turn - begins + head, 0)

    def _decoded(self, share: Array, room: Array) -> tuple[Array, Array]:
        """Not before the LOADs ahead of their use are few enough, and the queue has room."""
        phases, depth = self.phases, self.engine.queue_depth
        others = self._by_phase(phases.other_loads) * self.begins[:, None]
        loads = np.pad(_summed(2 * self.exists + others), ((1, 0), (0, 0)))
        ahead = loads[:-1] + WeightBlock.loads - max(2, depth - QUEUE_RESERVE)
        if (np.take_along_axis(loads, room, axis=0) >= ahead).all():
            return np.full(room.shape, -1), np.zeros(room.shape)  # the ring's room comes later
        matmuls = _summed(self._by_phase(phases.matmuls) * share)
        used = _first(loads[1:], ahead)  # the block with whose first use the LOAD is placed
        started = np.take_along_axis(np.pad(matmuls, ((1, 0), (0, 0))), used, axis=0)
        enters = np.where(ahead > 0, started + 1 - depth, 0)  # with this matmul's start
        block = np.minimum(_first(matmuls, enters), len(matmuls) - 1)
        size = np.maximum(np.diff(matmuls, axis=0, prepend=0), TOLERANCE)
        left = np.take_along_axis(matmuls, block, axis=0) - enters
        at = 1 - left / np.take_along_axis(size, block, axis=0)
        return np.where(enters > 0, block, -1), at.clip(0, 1)


def _summed(values: Array) -> Array:
    """Cumulative sums down the columns: row by row, which is faster than NumPy's."""
    sums = values.copy()
    for above, row in pairwise(sums):
        row += above
    return sums


def _first(rising: Array, values: Array) -> Array:
    """Per column, the first place whose number is as large as each value."""
    step = rising[-1].max() + 1
    columns = np.arange(rising.shape[1])[:, None] * step
    flat = (rising.T + columns).ravel()
    sought = values.T.clip(min=0) - TOLERANCE + columns
    found = np.searchsorted(flat, sought.ravel()).reshape(sought.shape)
    return (found - np.arange(len(columns))[:, None] * len(rising)).T.clip(0, len(rising) - 1)
