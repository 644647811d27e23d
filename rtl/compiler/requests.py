"""What computing needs from memory: each request becomes one to four LOADs.

Lowering makes requests while it lists the computing operations; :mod:`rtl.compiler.prefetch`
places their LOADs. A request knows where it lies in its scratchpad once it was placed.
"""

from copy import copy

from rtl.compiler.allocator import Ring
from rtl.compiler.operations import Chunk, Operation, Region, Space, Subject
from rtl.compiler.sizes import LayerSizes, Sizes, Tile
from rtl.control.isa import Base, Opcode, Target


class Run:
    """Consecutive row tiles of one layer inside a weight block: what one MATMUL multiplies by.

    ``word`` and ``parameter`` count from the block's first ones.
    """

    __slots__ = ("block", "count", "first", "layer", "parameter", "wide", "word", "words")

    def __init__(self, layer: LayerSizes, first: int, count: int, word: int, parameter: int):
        self.layer = layer
        self.first = first
        self.count = count
        self.word = word
        self.parameter = parameter
        flags = layer.wide[first : first + count]
        self.wide = sum(1 << i for i, wide in enumerate(flags) if wide)
        self.words = layer.depth_words * (count + sum(flags))
        self.block: WeightBlock | None = None

    def of(self, block: "WeightBlock") -> "Run":
        """The same rows as part of another block."""
        run = copy(self)
        run.block = block
        return run


class Request:
    """Something to be loaded before ``users`` operations, which may be dropped after them."""

    loads = 1  # instructions, at most

    def __init__(self) -> None:
        self.users = 0
        self.placed = False

    def fits(self, pads: "Pads") -> bool:
        """Whether its place in the scratchpads is free at this point of the program."""
        raise NotImplementedError

    def place(self, pads: "Pads") -> list[Operation]:
        """Take the place; the LOADs that fill it."""
        raise NotImplementedError

    def resolve(self, operation: Operation) -> None:
        """Tell a user of it where it lies; the default is that it knows."""

    def release(self, pads: "Pads") -> None:
        """Give the place back."""


class Pads:
    """Which parts of the loaded scratchpads are taken at a point of the program."""

    def __init__(self, sizes: Sizes):
        engine = sizes.engine
        self.sizes = sizes
        self.weights = Ring(engine.weight_words, wraps=True)
        self.parameters = Ring(engine.parameter_words, wraps=False)
        self.exponents = Ring(engine.exponent_words, wraps=False)
        self.gelu: list[Request | None] = [None, None]
        self.pixels: dict[int, tuple[int, set[Request]]] = {}  # place: tile, strips in use


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
    """Row tiles that are resident together, with their parameters."""

    loads = 3

    def __init__(self, runs: list[Run], weights: Chunk, parameters: Chunk):
        super().__init__()
        self.runs = [run.of(self) for run in runs]
        self.weights = weights
        self.parameters = parameters
        self.words = sum(run.words for run in runs)
        self.row_tiles = sum(run.count for run in runs)
        self.address = self.parameter_address = -1

    def again(self) -> "WeightBlock":
        """The same constants, to be loaded once more."""
        return WeightBlock(self.runs, self.weights, self.parameters)

    def fits(self, pads: Pads) -> bool:
        return pads.weights.fits(self.words) and pads.parameters.fits(self.row_tiles)

    def place(self, pads: Pads) -> list[Operation]:
        self.address = pads.weights.take(self.words, self)
        self.parameter_address = pads.parameters.take(self.row_tiles, self)
        parameters = Region(
            Space.PARAMETERS, self.parameter_address, self.parameter_address + self.row_tiles
        )
        return [
            load(Target.PARAMETERS, self.parameters, parameters),
            *self._weight_loads(pads.sizes.engine.weight_word_bytes, pads.weights.words),
        ]

    def _weight_loads(self, word_bytes: int, ring_words: int) -> list[Operation]:
        """One LOAD, or two where the block goes over the end of the ring."""
        operations, done = [], 0
        for region in ring_regions(self.address, self.words, ring_words):
            part = self.weights._replace(
                offset=self.weights.offset + done, bytes=(region.stop - region.start) * word_bytes
            )
            operations.append(load(Target.WEIGHTS, part, region))
            done += part.bytes
        return operations

    def release(self, pads: Pads) -> None:
        pads.weights.release(self)
        pads.parameters.release(self)


def ring_regions(address: int, words: int, ring_words: int) -> list[Region]:
    """The one or two address ranges of ``words`` ring words from ``address``."""
    stop = address + words
    if stop <= ring_words:
        return [Region(Space.WEIGHTS, address, stop)]
    return [
        Region(Space.WEIGHTS, address, ring_words),
        Region(Space.WEIGHTS, 0, stop - ring_words),
    ]


class Exponents(Request):
    """Channel exponents of a LayerNorm."""

    def __init__(self, chunk: Chunk, words: int):
        super().__init__()
        self.chunk = chunk
        self.words = words
        self.address = -1

    @property
    def region(self) -> Region:
        return Region(Space.EXPONENTS, self.address, self.address + self.words)

    def fits(self, pads: Pads) -> bool:
        return pads.exponents.fits(self.words)

    def place(self, pads: Pads) -> list[Operation]:
        self.address = pads.exponents.take(self.words, self)
        return [load(Target.EXPONENTS, self.chunk, self.region)]

    def resolve(self, operation: Operation) -> None:
        operation.operands["exponent_address"] = self.address
        operation.reads.append(self.region)

    def release(self, pads: Pads) -> None:
        pads.exponents.release(self)


class GeluTable(Request):
    """A block's GELU table."""

    def __init__(self, chunk: Chunk, table: int):
        super().__init__()
        self.chunk = chunk
        self.table = table
        self.region = Region(Space.GELU, table, table + 1)

    def fits(self, pads: Pads) -> bool:
        return pads.gelu[self.table] is None

    def place(self, pads: Pads) -> list[Operation]:
        pads.gelu[self.table] = self
        return [load(Target.GELU, self.chunk, self.region)]

    def release(self, pads: Pads) -> None:
        pads.gelu[self.table] = None


class Preload(Request):
    """The position tensor of one token tile, into the residual stream."""

    def __init__(self, chunk: Chunk, tile: Tile):
        super().__init__()
        self.chunk = chunk
        self.tile = tile

    def fits(self, pads: Pads) -> bool:
        return True

    def place(self, pads: Pads) -> list[Operation]:
        sizes, tile = pads.sizes, self.tile
        token_bytes = sizes.width_tiles * sizes.engine.residual_word_bytes
        part = self.chunk._replace(
            offset=self.chunk.offset + tile.token * token_bytes,
            bytes=tile.lane_count * token_bytes,
        )
        operation = load(
            Target.RESIDUAL,
            part,
            Region(Space.RESIDUAL, tile.token, tile.token + tile.lane_count),
            destination=tile.token // 4 * sizes.width_tiles,
            stride=sizes.width_tiles,
            token=tile.token,
            row_words=sizes.width_tiles,
        )
        operation.subject = operation.subject._replace(tile=tile)
        return [operation]


class Strip(Request):
    """A strip of the picture: all patches of one row of patches.

    ``tiles`` are the token tiles of its patches, ``slot`` the place of the first one in the pixel
    banks; the others follow, because a LOAD goes from one to the next by a constant step.
    """

    def __init__(self, index: int, tiles: range, slot: int, sizes: Sizes):
        super().__init__()
        self.index = index
        self.places = {slot + i: tile for i, tile in enumerate(tiles)}
        self.region = Region(
            Space.PIXELS, slot * sizes.patch_words, (slot + len(tiles)) * sizes.patch_words
        )

    def fits(self, pads: Pads) -> bool:
        """Each tile's place is free, or the strip before has begun to fill it for this tile."""
        users = (pads.pixels.get(place, (tile, set())) for place, tile in self.places.items())
        return all(
            owner == tile or not strips
            for (owner, strips), tile in zip(users, self.places.values(), strict=True)
        )

    def place(self, pads: Pads) -> list[Operation]:
        for place, tile in self.places.items():
            owner, strips = pads.pixels.get(place, (tile, set()))
            pads.pixels[place] = (tile, strips | {self} if owner == tile else {self})
        shape, sizes = pads.sizes.shape, pads.sizes
        strip_bytes = shape.patch * shape.image[1] * shape.image[2]
        operands = {
            "target": Target.PIXELS,
            "base": Base.IMAGE,
            "offset": self.index * strip_bytes,
            "bytes": strip_bytes,
            "destination": self.region.start,
            "stride": sizes.patch_words,
            "lane_first": self.index * shape.grid[1] % sizes.engine.token_lanes,
            "segment_bytes": sizes.segment_bytes,
            "segments": shape.grid[1],
        }
        subject = Subject("load", "pixels", "", row_tile=self.index)
        return [Operation(Opcode.LOAD, operands, [], [self.region], subject)]

    def release(self, pads: Pads) -> None:
        for place in self.places:
            pads.pixels[place][1].discard(self)
