"""What computing needs from memory: each request becomes one to three LOADs.

Lowering makes requests while it lists the computing operations; :mod:`rtl.compiler.prefetch`
places their LOADs. A request knows where it lies in its scratchpad once it was placed; then it
fills this in where it is used.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from rtl.compiler.allocator import Ring, Scratchpads
from rtl.compiler.operations import Chunk, MemorySpace, Operation, Region, Subject
from rtl.compiler.runs import RowRun
from rtl.compiler.sizes import Plan, TokenTile
from rtl.isa.instructions import Base, Opcode, Target

UNPLACED = -1  # an address that is not known yet


class Request(ABC):
    """Something that must be loaded before its users, and may be overwritten after them.

    ``placed`` and ``users``, the operations that still need it, are kept by
    :mod:`rtl.compiler.prefetch`.
    """

    loads = 1  # instructions, at most

    def __init__(self) -> None:
        self.users = 0
        self.placed = False

    def rings(self, pads: Scratchpads) -> list[tuple[Ring, int]]:
        """Rings in which it takes words, and how many; by default none."""
        return []

    def fits(self, pads: Scratchpads) -> bool:
        """Whether its place in the scratchpads is free at this point of the program."""
        return all(ring.fits(words) for ring, words in self.rings(pads))

    @abstractmethod
    def place(self, pads: Scratchpads) -> list[Operation]:
        """Take the place; the LOADs that fill it."""

    def resolve(self, operation: Operation) -> None:
        """Fill in a user's operands and reads that depend on the place; by default none do."""
        return

    def release(self, pads: Scratchpads) -> None:
        """Give the place back; by default nobody else wants it."""
        return


def load(target: Target, chunk: Chunk, region: Region, **operands: int) -> Operation:
    """A LOAD of a whole chunk of constants; more operands as given."""
    values = {
        "target": target,
        "base": Base.MODEL,
        "offset": chunk.offset,
        "bytes": chunk.bytes,
        "destination": region.start,
    }
    subject = Subject("load", chunk.what, chunk.parts[0][0])
    return Operation(Opcode.LOAD, values | operands, [], [region], subject)


class WeightBlock(Request):
    """Row tiles that are resident together, with their parameters.

    Parameters
    ----------
    runs : sequence of RowRun
    weights, parameters : Chunk
        Their constants.
    """

    loads = 3  # parameters; weights, in two parts at the end of the ring

    def __init__(self, runs: Sequence[RowRun], weights: Chunk, parameters: Chunk):
        super().__init__()
        self.runs = runs
        self.weights = weights
        self.parameters = parameters
        self.words = sum(run.words for run in runs)
        self.row_tiles = sum(run.count for run in runs)
        self.address = self.parameter_address = self.ring_words = UNPLACED

    def again(self) -> "WeightBlock":
        """The same constants, to be loaded once more."""
        return WeightBlock(self.runs, self.weights, self.parameters)

    def used_by(self, matmul: Operation) -> Operation:
        """A MATMUL by one of the runs, now with the block among its needs, in the first place."""
        matmul.needs = (self, *matmul.needs)
        return matmul

    def rings(self, pads: Scratchpads) -> list[tuple[Ring, int]]:
        return [(pads.weights, self.words), (pads.parameters, self.row_tiles)]

    def place(self, pads: Scratchpads) -> list[Operation]:
        self.ring_words = pads.weights.words
        self.address = pads.weights.take(self.words, self)
        self.parameter_address = pads.parameters.take(self.row_tiles, self)
        parameters = _parameter_region(self.parameter_address, self.row_tiles)
        return [
            load(Target.PARAMETERS, self.parameters, parameters),
            *self._weight_loads(pads.plan.engine.weight_word_bytes),
        ]

    def _weight_loads(self, word_bytes: int) -> list[Operation]:
        """One LOAD, or two where the block goes over the end of the ring."""
        operations, done = [], 0
        for region in _ring_regions(self.address, self.words, self.ring_words):
            part = self.weights._replace(
                offset=self.weights.offset + done, bytes=(region.stop - region.start) * word_bytes
            )
            operations.append(load(Target.WEIGHTS, part, region))
            done += part.bytes
        return operations

    def resolve(self, operation: Operation) -> None:
        run = operation.run
        assert run is not None
        address = (self.address + run.word) % self.ring_words
        parameters = self.parameter_address + run.parameter
        operation.operands["weight_address"] = address
        operation.operands["parameter_address"] = parameters
        operation.reads += _ring_regions(address, run.words, self.ring_words)
        operation.reads.append(_parameter_region(parameters, run.count))

    def release(self, pads: Scratchpads) -> None:
        pads.weights.release(self)
        pads.parameters.release(self)


def _parameter_region(address: int, count: int) -> Region:
    return Region(MemorySpace.PARAMETERS, address, address + count)


def _ring_regions(address: int, words: int, ring_words: int) -> list[Region]:
    """The one or two address ranges of ``words`` ring words from ``address``."""
    stop = address + words
    if stop <= ring_words:
        return [Region(MemorySpace.WEIGHTS, address, stop)]
    return [
        Region(MemorySpace.WEIGHTS, address, ring_words),
        Region(MemorySpace.WEIGHTS, 0, stop - ring_words),
    ]


class RingChunk(Request):
    """A chunk in consecutive words of a ring, whose first one its users must know.

    ``target``, ``space`` and ``operand`` are constants of each kind.

    Parameters
    ----------
    chunk : Chunk
    words : int
        Of the scratchpad.
    """

    target: Target
    space: MemorySpace
    operand: str
    """The users' operand that takes the address."""

    def __init__(self, chunk: Chunk, words: int):
        super().__init__()
        self.chunk = chunk
        self.words = words
        self.address = UNPLACED

    @abstractmethod
    def ring(self, pads: Scratchpads) -> Ring:
        """The ring of the scratchpad."""

    @property
    def region(self) -> Region:
        return Region(self.space, self.address, self.address + self.words)

    def rings(self, pads: Scratchpads) -> list[tuple[Ring, int]]:
        return [(self.ring(pads), self.words)]

    def place(self, pads: Scratchpads) -> list[Operation]:
        self.address = self.ring(pads).take(self.words, self)
        return [load(self.target, self.chunk, self.region)]

    def resolve(self, operation: Operation) -> None:
        operation.operands[self.operand] = self.address
        operation.reads.append(self.region)

    def release(self, pads: Scratchpads) -> None:
        self.ring(pads).release(self)


class RowParameters(RingChunk):
    """Row parameters, a word per row tile, of a product whose weights are on the chip already."""

    target, space, operand = Target.PARAMETERS, MemorySpace.PARAMETERS, "parameter_address"

    def ring(self, pads: Scratchpads) -> Ring:
        return pads.parameters


class Exponents(RingChunk):
    """Channel exponents of a LayerNorm."""

    target, space, operand = Target.EXPONENTS, MemorySpace.EXPONENTS, "exponent_address"

    def ring(self, pads: Scratchpads) -> Ring:
        return pads.exponents


class GeluTable(Request):
    """A block's GELU table, into place 0 or 1 as ``table`` says."""

    def __init__(self, chunk: Chunk, table: int):
        super().__init__()
        self.chunk = chunk
        self.table = table
        self.region = Region(MemorySpace.GELU, table, table + 1)

    def fits(self, pads: Scratchpads) -> bool:
        return pads.gelu[self.table] is None

    def place(self, pads: Scratchpads) -> list[Operation]:
        pads.gelu[self.table] = self
        return [load(Target.GELU, self.chunk, self.region)]

    def release(self, pads: Scratchpads) -> None:
        pads.gelu[self.table] = None


class Preload(Request):
    """The position tensor of one token tile, into the residual stream."""

    def __init__(self, chunk: Chunk, tile: TokenTile):
        super().__init__()
        self.chunk = chunk
        self.tile = tile

    def place(self, pads: Scratchpads) -> list[Operation]:
        plan, tile = pads.plan, self.tile
        token_bytes = plan.width_tiles * plan.engine.residual_word_bytes
        part = self.chunk._replace(
            offset=self.chunk.offset + tile.token * token_bytes,
            bytes=tile.lane_count * token_bytes,
        )
        operation = load(
            Target.RESIDUAL,
            part,
            Region(MemorySpace.RESIDUAL, tile.token, tile.token + tile.lane_count),
            destination=plan.residual_word(tile.token),
            stride=plan.width_tiles,
            token=tile.token,
            row_words=plan.width_tiles,
        )
        operation.subject = operation.subject._replace(tile=tile)
        return [operation]


class Strip(Request):
    """A strip of the picture: all patches of one row of patches.

    Parameters
    ----------
    index : int
        Number of the strip, from the top.
    tiles : range
        Token tiles of its patches.
    first_place : int
        Place of the first tile in the pixel banks. The others follow, because a LOAD goes from
        one to the next by a constant step.
    plan : Plan
    """

    def __init__(self, index: int, tiles: range, first_place: int, plan: Plan):
        super().__init__()
        self.index = index
        self.places = {first_place + i: tile for i, tile in enumerate(tiles)}
        words = plan.patch_words
        self.region = Region(
            MemorySpace.PIXELS, first_place * words, (first_place + len(tiles)) * words
        )

    def fits(self, pads: Scratchpads) -> bool:
        """Each tile's place is free, or the strip before has begun to fill it for this tile."""
        users = (pads.pixels.get(place, (tile, set())) for place, tile in self.places.items())
        return all(
            owner == tile or not strips
            for (owner, strips), tile in zip(users, self.places.values(), strict=True)
        )

    def place(self, pads: Scratchpads) -> list[Operation]:
        for place, tile in self.places.items():
            owner, strips = pads.pixels.get(place, (tile, set()))
            pads.pixels[place] = (tile, strips | {self} if owner == tile else {self})
        shape, plan = pads.plan.shape, pads.plan
        strip_bytes = shape.patch * shape.image[1] * shape.image[2]
        operands = {
            "target": Target.PIXELS,
            "base": Base.IMAGE,
            "offset": self.index * strip_bytes,
            "bytes": strip_bytes,
            "destination": self.region.start,
            "stride": plan.patch_words,
            "lane_first": self.index * shape.grid[1] % plan.engine.token_lanes,
            "segment_bytes": plan.segment_bytes,
            "segments": shape.grid[1],
        }
        subject = Subject("load", "pixels", "", row_tile=self.index)
        return [Operation(Opcode.LOAD, operands, [], [self.region], subject)]

    def release(self, pads: Scratchpads) -> None:
        for place in self.places:
            pads.pixels[place][1].discard(self)
