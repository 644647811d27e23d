"""First pass: plan a network, or refuse it with the limit's name, the value, and the excess.

Lowering relies on every limit here and checks none itself.
"""

from rtl.compiler.runs import MAX_ROW_TILES
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TiledMatrix
from rtl.config import ENGINES, EngineConfig
from rtl.errors import UserError
from rtl.isa.instructions import INSTRUCTIONS, Opcode
from rtl.isa.scratchpads import placed_tokens
from rtl.model import IntegerModel, numerics
from rtl.model.keep import check_keep
from rtl.model.shape import NetworkShape

FIELD_BITS = {
    (opcode, field.name): field.bits for opcode, layout in INSTRUCTIONS.items() for field in layout
}


def plan(shape: NetworkShape, engine: EngineConfig) -> Plan:
    """Plan a network on an engine; no program is made, so this is cheap.

    Raises
    ------
    UserError
        If the engine cannot hold the network.
    """
    _check_shape(shape, engine)
    planned = Plan(shape, engine)
    limits = _Limits(engine)
    _check_scratchpads(limits, planned)
    _check_fields(limits, planned)
    if shape.selects:
        _check_selection(limits, planned)
    for block in range(len(shape.blocks)):
        _check_block(limits, planned, block)
    if shape.mean_pool:
        _check_pool(limits, planned)
    for layer in (planned.embed, planned.front, None if shape.dense else planned.head):
        if layer is not None:
            _check_layer(limits, layer)
    return planned


def plan_model(model: IntegerModel, engine: EngineConfig) -> Plan:
    """Plan a model as :func:`plan` does; its codes must have the engine's width.

    Raises
    ------
    UserError
        If they have another width, or the engine cannot hold the network.
    """
    if model.act_bits != engine.act_bits:
        raise UserError(
            f"model has act_bits {model.act_bits}, engine '{engine.name}' {engine.act_bits}"
        )
    return plan(model.shape, engine)


class _Limits:
    """Comparisons that say what they compared."""

    def __init__(self, engine: EngineConfig):
        self.engine = engine

    def buffer(self, what: str, needed: int, field: str) -> None:
        """Compare with a size of the engine."""
        self.most(what, needed, getattr(self.engine, field), f"engine '{self.engine.name}' {field}")

    def operand(self, what: str, needed: int, opcode: Opcode, name: str) -> None:
        """Compare with what a field of an instruction holds."""
        bits = FIELD_BITS[opcode, name]
        limit = f"{opcode.name} {name} ({bits} bits)"
        self.most(what, needed, (1 << bits) - 1, limit)

    def most(self, what: str, needed: int, available: int, limit: str) -> None:
        if needed > available:
            raise UserError(
                f"{what}: {needed:,} needed, {available:,} available,"
                f" {needed - available:,} too many ({limit})"
            )


def _check_shape(shape: NetworkShape, engine: EngineConfig) -> None:
    limits = _Limits(engine)
    if shape.row_granularity % engine.row_lanes:
        raise UserError(
            f"row_granularity {shape.row_granularity} is no multiple of row_lanes"
            f" {engine.row_lanes} of engine '{engine.name}': repack it (--repack)"
        )
    if any(size % shape.patch for size in shape.image[:2]):
        raise UserError(
            f"image of {shape.image[0]} x {shape.image[1]} pixels is not made of whole patches"
            f" of {shape.patch}"
        )
    if not shape.blocks:
        raise UserError("network has no blocks: depth must be at least 1")
    for block, sizes in enumerate(shape.blocks):
        if (sizes.first_table_units or 0) % engine.row_lanes:
            raise UserError(
                f"blocks.{block}: the first GELU table is for {sizes.first_table_units} hidden"
                f" units, no multiple of row_lanes {engine.row_lanes} of engine '{engine.name}'"
            )
    check_keep(shape)
    limits.most("tokens", shape.tokens, numerics.MAX_TOKENS, "MAX_TOKENS")
    limits.most("width", shape.width, numerics.MAX_WIDTH, "MAX_WIDTH")


def _check_scratchpads(limits: _Limits, plan: Plan) -> None:
    tokens, width = plan.tokens, plan.shape.width
    limits.buffer(
        f"residual stream of {tokens} tokens, width {width}",
        plan.residual_words,
        "residual_words",
    )
    limits.buffer(f"scores of {tokens} keys", plan.score_slot_words(0), "score_words")
    limits.buffer(f"exponents of width {width}", plan.width_tiles, "exponent_words")
    limits.buffer(
        f"pixels of {min(plan.chain_tiles, len(plan.patch_tiles))} token tiles, patch"
        f" {plan.shape.patch}",
        plan.chain_words,
        "pixel_words",
    )


def _check_fields(limits: _Limits, plan: Plan) -> None:
    shape = plan.shape
    limits.most(
        f"tokens {plan.tokens}: row tiles of keys",
        plan.key_tiles(0),
        MAX_ROW_TILES,
        f"{MAX_ROW_TILES} row tiles",
    )
    limits.operand("row words of a token", plan.token_words, Opcode.STORE, "row_words")
    limits.operand("bytes of a patch row", plan.segment_bytes, Opcode.LOAD, "segment_bytes")
    limits.operand("patches in a row", shape.grid[1], Opcode.LOAD, "segments")
    limits.operand("pixel words of a patch", plan.patch_words, Opcode.LOAD, "stride")


def _check_selection(limits: _Limits, plan: Plan) -> None:
    engine, shape = plan.engine, plan.shape
    block = next(i for i, sizes in enumerate(shape.blocks) if sizes.keep is not None)
    patches, keep = shape.patches_in(block), shape.blocks[block].keep
    if not engine.select_tokens:
        other = f"{engine.name}_select"
        remedy = other if other in ENGINES else "one with select_tokens 256 or 1024"
        raise UserError(
            f"blocks.{block} keeps {keep:,} of {patches:,} patches: engine '{engine.name}' selects"
            f" none (select_tokens 0); take {remedy}"
        )
    limits.buffer(f"blocks.{block}, patches to select from", patches, "select_tokens")
    tokens = plan.tokens_in(block)
    limit = f"twice engine '{engine.name}' select_tokens"
    limits.most(f"blocks.{block}, tokens with a place", tokens, placed_tokens(engine), limit)


def _check_block(limits: _Limits, plan: Plan, block: int) -> None:
    engine, name = plan.engine, f"blocks.{block}"
    hidden = plan.shape.blocks[block].hidden
    attention = plan.norm_words + plan.attention_words(block)
    limits.buffer(f"{name} attention, activation words", attention, "activation_words")
    mlp = plan.norm_words + plan.hidden_tiles(block)
    limits.buffer(f"{name} MLP of {hidden} hidden units", mlp, "activation_words")
    tiles, tokens = plan.unit_tiles(block), plan.tokens_in(block)
    keys, values = tiles * plan.key_tiles(block), tiles * plan.value_depth(block)
    limits.buffer(f"{name} keys of {tokens} tokens", keys, "key_words")
    limits.buffer(f"{name} values of {tokens} tokens", values, "value_words")
    granules = max(engine.activation_words, engine.key_words) * engine.granules
    limits.operand("granules", granules - 1, Opcode.MATMUL, "activation_address")
    for layer in plan.layers(block).values():
        _check_layer(limits, layer)


def _check_pool(limits: _Limits, plan: Plan) -> None:
    needed = plan.norm_words + plan.pool_words
    limits.buffer("mean pooling, activation words", needed, "activation_words")
    for name in ("pool.values", "pool.weights"):
        _check_layer(limits, plan.pool_layers[name])


def _check_layer(limits: _Limits, layer: TiledMatrix) -> None:
    words = max(layer.ring_words(i) for i in range(layer.row_tiles))
    limits.buffer(f"{layer.name}, a row tile of {layer.depth} terms", words, "weight_words")
    limits.operand(f"{layer.name} depth", layer.depth_words, Opcode.MATMUL, "depth_words")
