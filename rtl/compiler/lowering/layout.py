"""Addresses that lowering gives by rule: activations, keys, values, scores, logits.

Activations, per lane, in words of ``row_lanes`` codes::

    0                 norm_words
    | LayerNorm       | attention: Q, later the context, of all token tiles | weights | weights |
    | output of every | MLP: hidden activations of as many token tiles as fit                   |
    | token tile      |

PV of a head writes its context over the head's Q, which nobody needs any more; attention weights
(and scores) have two slots or more, taken in turn. Behind the last block the place of all this is
that of the weights of the mean and of the mean.

:func:`rtl.compiler.plan.plan` has made sure that it all fits. What comes by LOAD has its
addresses from :mod:`rtl.compiler.prefetch`, pixels from :mod:`rtl.compiler.lowering.pixels`.
"""

from rtl.compiler.operations import MemorySpace, Span
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TokenTile, divide_up

IMPORTANCE, PLACES = (Span(space, 0, 1) for space in (MemorySpace.IMPORTANCE, MemorySpace.PLACES))
HEAD_GROUPS = 3  # the heads of a block are projected in about as many groups


def words(plan: Plan, address: int, count: int) -> Span:
    """Whole activation words as a region, which counts granules."""
    granules = plan.engine.granules
    return Span(MemorySpace.ACTIVATIONS, address * granules, (address + count) * granules)


def norm_output(plan: Plan, tile: TokenTile) -> Span:
    """Output of a LayerNorm for a token tile."""
    return words(plan, tile.index * plan.width_tiles, plan.width_tiles)


def residual_tokens(tile: TokenTile) -> Span:
    """A tile's tokens in the residual stream."""
    return Span(MemorySpace.RESIDUAL, tile.tokens.start, tile.tokens.stop)


def pool_weights(plan: Plan) -> Span:
    """Weights of the mean, one per token, in the lane of the head's tile."""
    return words(plan, plan.norm_words, plan.key_tiles(plan.last))


def head_input(plan: Plan) -> Span:
    """Input of the head, in the lane of its tile: the mean, or the class token's LayerNorm."""
    if not plan.shape.mean_pool:
        return norm_output(plan, plan.head_tile)
    return words(plan, plan.norm_words + plan.key_tiles(plan.last), plan.width_tiles)


class LogitPlaces:
    """Places of the parts of the logits in the residual scratchpad, taken in turn.

    They lie behind the stream; where that has no room for a part, over tokens: nobody needs them
    any more, and which ones these are is not worth knowing.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    first, stop : int
        Residual words that they take.
    """

    def __init__(self, plan: Plan):
        words, parts = plan.engine.residual_words, plan.logit_parts
        self.size = max(part.count for part in parts)
        behind = (words - plan.residual_words) // self.size
        self.count = min(len(parts), behind or words // self.size)
        self.first = plan.residual_words if behind else words - self.count * self.size
        self.stop = self.first + self.count * self.size
        self.last = len(parts) - 1
        self.stream = Span(MemorySpace.RESIDUAL, 0, plan.tokens)
        self.over = () if behind else (self.stream,)

    def address(self, part: int) -> int:
        """Residual word of a part's first row tile."""
        return self.first + part % self.count * self.size

    def written(self, part: int) -> tuple[Span, ...]:
        """Regions that the head writes."""
        place = self.stream.stop + part % self.count
        return *self.over, Span(MemorySpace.RESIDUAL, place, place + 1)

    def stored(self, part: int) -> tuple[Span, ...]:
        """Regions that a STORE reads. Who wants the tokens' place only waits for the last one."""
        written = self.written(part)
        return written if part == self.last else written[-1:]


class AttentionLayout:
    """Groups of a block's heads, and the addresses of their tensors.

    A group's heads are projected together. Key and value banks hold one group at a time or two,
    in turn.

    Parameters
    ----------
    plan : Plan
    block : int

    Attributes
    ----------
    inner : int
        Row tiles of Q, of K and of V with padded heads.
    group_heads, group_tiles : int
        Heads of a group (the last one may have fewer), and their row tiles.
    resident_groups : int
        Groups that the key and value banks hold at a time, 1 or 2.
    groups : int
    slots : int
        Slots of maxima, attention weights and token scales.
    row_tiles : list of range
        Each group's row tiles within Q, K and V.
    keys, values : list of Span
        Words that each group may use.
    scores, weights, maxima, scales : list of Span
        Each slot's scores, attention weights (behind Q), largest scores and token scales. Slots
        share scores where there are fewer score words.
    """

    def __init__(self, plan: Plan, block: int):
        self.plan = plan
        self.heads = plan.shape.blocks[block].heads
        self.inner = plan.inner_tiles(block)
        fit = plan.key_value_tiles(block) // plan.unit_tiles(block)  # units of heads in the banks
        units = divide_up(self.heads, plan.unit_heads)
        group = max(1, min(divide_up(units, HEAD_GROUPS), fit // 2))
        self.resident_groups = 2 if fit >= 2 * group else 1
        self.group_heads = min(group * plan.unit_heads, self.heads)
        self.group_tiles = divide_up(self.group_heads * plan.head_rows, plan.engine.row_lanes)
        self.groups = divide_up(self.heads, self.group_heads)
        firsts = [group * self.group_tiles for group in range(self.groups)]
        ends = [min(first + self.group_tiles, self.inner) for first in firsts]
        self.row_tiles = list(map(range, firsts, ends))
        self.keys = self._in_turn(MemorySpace.KEYS, plan.key_tiles(block))
        self.values = self._in_turn(MemorySpace.VALUES, plan.value_depth(block))

        self.slots = plan.attention_slots(block)
        slots, count = range(self.slots), plan.score_slot_words(block)
        places = [slot % (plan.engine.score_words // count) * count for slot in slots]
        self.scores = [Span(MemorySpace.SCORES, place, place + count) for place in places]
        behind = plan.norm_words + plan.query_words(block)
        keys = plan.key_tiles(block)
        self.weights = [words(plan, behind + slot * keys, keys) for slot in slots]
        self.maxima = [Span(MemorySpace.MAXIMA, slot, slot + 1) for slot in slots]
        self.scales = [Span(MemorySpace.SCALES, slot, slot + 1) for slot in slots]

    def _in_turn(self, space: MemorySpace, row_words: int) -> list[Span]:
        """Words of a bank that the groups use; a row tile takes ``row_words``."""
        count = row_words * self.group_tiles
        places = [group % self.resident_groups * count for group in range(self.groups)]
        return [Span(space, place, place + count) for place in places]

    def heads_of(self, group: int) -> range:
        first = group * self.group_heads
        return range(first, min(first + self.group_heads, self.heads))

    def queries(self, tile: TokenTile) -> Span:
        """Q, later the context, of all heads of a token tile."""
        return words(self.plan, self.plan.norm_words + tile.index * self.inner, self.inner)

    def head_queries(self, tile: TokenTile, head: int) -> Span:
        """Q, later the context, of one head."""
        plan, depth = self.plan, self.plan.head_depth
        first = plan.norm_words + tile.index * self.inner
        start = first * plan.engine.granules + head * depth
        return Span(MemorySpace.ACTIVATIONS, start, start + depth)
