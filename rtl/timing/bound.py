"""Lower bounds of a network's cycles, and its work, without a program.

- :func:`least_array_cycles`: cycles of an engine's array, from a plan; reports print it
- :func:`least_cycles`: cycles of an engine, of its array or its memory; for searches
- :func:`work_by_kind`: multiply-accumulates without padding
"""

from collections.abc import Iterator
from typing import NamedTuple

from rtl.compiler.lowering.pixels import PixelBanks
from rtl.compiler.runs import most_row_tiles
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TiledMatrix, divide_up
from rtl.isa.instructions import INSTRUCTION_BYTES
from rtl.model.shape import NetworkShape
from rtl.timing.port import MemoryTiming


def array_work(shape: NetworkShape) -> int:
    """Count the multiply-accumulates of one image without padding, the last block reduced.

    A product of an 8-bit and of a 4-bit weight count the same; so do both passes of one product.
    Of mean pooling only the sums count.
    """
    return sum(work.macs for work in work_by_kind(shape).values())


class KindWork(NamedTuple):
    """Work of all layers of a kind.

    ``macs`` are multiply-accumulates, ``products`` those of the array: of a nibble of the weight
    and an operand that it takes at once.
    """

    macs: int
    products: int


def work_by_kind(shape: NetworkShape, *, pixel_passes: int = 2) -> dict[str, KindWork]:
    """Count the work of one image without padding, the last block reduced, layer by layer.

    Parameters
    ----------
    shape : NetworkShape
    pixel_passes : int
        Passes per weight nibble in the patch embedding: 1 where a pixel is a single operand, that
        is, with ``act_bits`` 8.

    Returns
    -------
    dict of str to KindWork
        Work of each kind of layer (:class:`rtl.compiler.operations.Subject`), in the order of
        execution.
    """
    kinds: dict[str, KindWork] = {}

    def add(kind: str, vectors: int, depth: int, rows: int, row_passes: int) -> None:
        """Vectors of ``depth`` terms with ``rows`` rows, which take ``row_passes`` together."""
        macs, products = kinds.get(kind, KindWork(0, 0))
        each = vectors * depth
        kinds[kind] = KindWork(macs + each * rows, products + each * row_passes)

    def passes(flags: tuple[bool, ...], rows: int) -> int:
        size = shape.row_granularity
        bits8 = sum(min(size, rows - i * size) for i, flag in enumerate(flags) if flag)
        return rows + bits8

    width = shape.width
    embed = pixel_passes * passes(shape.embed_bits8, width)
    add("embed", shape.patches, shape.patch_values, width, embed)
    if shape.front_bits8 is not None:
        add("front", shape.tokens, width, width, passes(shape.front_bits8, width))
    for index, block in enumerate(shape.blocks):
        tokens, outputs = shape.tokens_in(index), shape.tokens_in(index + 1)
        queries = tokens
        if index == len(shape.blocks) - 1:
            queries = outputs = len(shape.final_tokens)
        sizes = shape.layer_sizes(index)
        for name, flags in block.bits8:
            rows, depth = sizes[name]
            kind = "qkv" if name in "qkv" else name
            vectors = {"k": tokens, "v": tokens, "fc1": outputs, "fc2": outputs}.get(name, queries)
            add(kind, vectors, depth, rows, passes(flags, rows))
        for kind in ("scores", "context"):  # keys and values have 8 bits
            rows = block.heads * shape.head_dim
            add(kind, queries, tokens, rows, 2 * rows)
    if shape.mean_pool:
        add("pool", 1, shape.patches, width, 2 * width)
    add("head", 1, width, shape.classes, passes(shape.head_bits8, shape.classes))
    return kinds


def least_cycles(plan: Plan, memory: MemoryTiming) -> float:
    """Lower bound of the cycles of one image: the roofline.

    The array and the memory port each need their own cycles, however well they overlap. No program
    is made and nothing is fitted, so this is fast enough to order hundreds of engines, and never
    exceeds what :func:`rtl.timing.simulate` finds.

    Parameters
    ----------
    plan : Plan
        The plan of a network that the engine can run.
    memory : MemoryTiming
    """
    bytes_per_cycle = min(memory.bytes_per_cycle, plan.engine.memory_bytes)
    return max(least_array_cycles(plan), least_bytes(plan) / bytes_per_cycle)


class MatrixUse(NamedTuple):
    """A matrix of the plan and how an image uses it.

    ``tiles`` counts the token tiles that it multiplies, ``passes`` those over each weight nibble,
    ``loads`` how often its weights are loaded.
    """

    matrix: TiledMatrix
    tiles: int
    passes: int = 1
    loads: int = 1


def matrix_uses(plan: Plan) -> Iterator[MatrixUse]:
    """Yield every matrix with weights in the order of execution; for mean pooling its products."""
    passes = 1 if plan.engine.act_bits == 8 else 2  # pixels in one slice or two
    groups = sum(1 for _ in PixelBanks(plan).groups())
    yield MatrixUse(plan.embed, len(plan.patch_tiles), passes, groups)
    if plan.front:
        yield MatrixUse(plan.front, plan.tiles)
    for block in range(len(plan.shape.blocks)):
        queries, outputs = len(plan.query_tiles(block)), len(plan.output_tiles(block))
        groups = divide_up(outputs, plan.mlp_tiles(block))
        for name, matrix in plan.layers(block).items():
            loads = 1
            if name in ("k", "v"):
                tiles = len(plan.tiles_in(block))
            elif name in ("fc1", "fc2"):
                tiles, loads = outputs, groups
            else:
                tiles = queries
            yield MatrixUse(matrix, tiles, loads=loads)
    for name, matrix in plan.pool_layers.items():  # of their weights, next to nothing is loaded
        yield MatrixUse(matrix, len(plan.patch_tiles) if name == "pool.values" else 1, loads=0)
    yield MatrixUse(plan.head, 1)


def least_array_cycles(plan: Plan) -> int:
    """Cycles in which the array multiplies: those of the program.

    Every matrix takes ``token tiles x row tiles x depth words`` cycles, each rounded up. A row
    tile of 8 bits takes two passes, and so do the scores QK^T and the context PV, whose keys and
    values have 8 bits. Of the last block, queries and MLP are those of the class token's tile, or
    of the patches' where the head works on their mean. That takes an identity for each row tile of
    channels, the tokens' weights and their product with the values.
    """
    total = sum(use.tiles * use.passes * _ring_words(use.matrix) for use in matrix_uses(plan))
    granules, depth = plan.engine.granules, plan.head_depth
    for block, block_shape in enumerate(plan.shape.blocks):
        heads = range(block_shape.heads)
        scores = len(heads) * plan.key_tiles(block) * depth
        row_tiles = sum(
            ((head + 1) * depth - 1) // granules - head * depth // granules + 1 for head in heads
        )
        context = row_tiles * plan.value_depth(block)
        total += 2 * len(plan.query_tiles(block)) * (scores + context)  # keys, values: 8 bits
    return total


def least_bytes(plan: Plan) -> int:
    """Lower bound of the bytes that an image reads: constants, pixels, instructions."""
    shape, engine = plan.shape, plan.engine
    total = shape.image[0] * shape.image[1] * shape.image[2]
    total += plan.tokens * plan.token_bytes  # positions
    instructions = plan.tiles + shape.grid[0] + plan.tiles  # positions, strips, LayerNorm
    for use in matrix_uses(plan):
        words = _ring_words(use.matrix) * engine.weight_word_bytes
        total += use.loads * (words + use.matrix.row_tiles * engine.parameter_word_bytes)
        instructions += 2 * use.loads
        instructions += use.tiles * divide_up(use.matrix.row_tiles, most_row_tiles(engine))
    for block, block_shape in enumerate(shape.blocks):  # scores, softmax, context; LayerNorms
        instructions += len(plan.query_tiles(block)) * (3 * block_shape.heads + 2)
    return total + instructions * INSTRUCTION_BYTES


def _ring_words(matrix: TiledMatrix) -> int:
    return sum(matrix.ring_words(tile) for tile in range(matrix.row_tiles))
