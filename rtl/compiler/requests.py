"""What computing needs from memory: each request becomes one to four LOADs.

Lowering makes requests while it lists the computing operations; :mod:`rtl.compiler.prefetch`
places their LOADs. A request knows where it lies in its scratchpad once it was placed.
"""

from rtl.compiler.allocator import Ring
from rtl.compiler.operations import Chunk, Operation, Region, Space, Subject
from rtl.compiler.sizes import LayerSizes, Sizes, Tile, divide_up
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
        self.pixels: dict[int, int] = {}  # tile slot: strips in use


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
        self.runs = runs
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

    Token tiles of a chain have neighbouring pixel words, because a strip's LOAD goes from one to
    the next by a constant step.
    """

    def __init__(self, index: int, slots: range, sizes: Sizes):
        super().__init__()
        self.index = index
        self.slots = slots  # tile slots of the pixel banks
        self.sizes = sizes

    @property
    def region(self) -> Region:
        words = self.sizes.patch_words
        return Region(Space.PIXELS, self.slots.start * words, self.slots.stop * words)

    def fits(self, pads: Pads) -> bool:
        """Free, or a tile slot that the strip before, of the same chain, has begun to fill."""
        return all(pads.pixels.get(slot) in (None, self.chain) for slot in self.slots)

    @property
    def chain(self) -> int:
        return self.index * self.sizes.shape.grid[1] // (
            self.sizes.chain_tiles * self.sizes.engine.token_lanes
        )

    def place(self, pads: Pads) -> list[Operation]:
        for slot in self.slots:
            pads.pixels[slot] = self.chain
        shape, sizes = self.sizes.shape, self.sizes
        row_bytes = shape.image[1] * shape.image[2]
        operands = {
            "target": Target.PIXELS,
            "base": Base.IMAGE,
            "offset": self.index * shape.patch * row_bytes,
            "bytes": shape.patch * row_bytes,
            "destination": self.region.start,
            "stride": sizes.patch_words,
            "lane_first": self.index * shape.grid[1] % sizes.engine.token_lanes,
            "segment_bytes": sizes.segment_bytes,
            "segments": shape.grid[1],
        }
        subject = Subject("load", "pixels", "", row_tile=self.index)
        return [Operation(Opcode.LOAD, operands, [], [self.region], subject)]


class PixelChain(Request):
    """Marks the tile slots of a chain as free once its last patch has been embedded."""


def load_bytes(request_words: int, word_bytes: int, beat_bytes: int) -> int:
    """Bytes of words that are padded to whole beats."""
    return request_words * divide_up(word_bytes, beat_bytes) * beat_bytes
