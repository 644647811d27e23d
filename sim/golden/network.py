"""The whole network, from pixels to its output, with every named tensor on request.

Source: docs/numerics.md, sections 3 to 8.
"""

from collections.abc import Callable

import numpy as np

from rtl.model import Block, Classifier, Features, HeadScales, IntegerModel, Linear, Norm, Pool
from rtl.model.numerics import code_range
from sim.golden import ops

CHUNK_VALUES = 1 << 20  # of the largest tensor: chunks of a batch that stay near the caches

Record = Callable[[str, np.ndarray], None]


def run(
    model: IntegerModel, images: np.ndarray, *, tensors: dict[str, np.ndarray] | None = None
) -> np.ndarray:
    """Compute the output of images.

    Parameters
    ----------
    model : IntegerModel
    images : (batch, height, width, channels) uint8
    tensors : dict, optional
        Receives every tensor of numerics section 8 by name, each ``(batch, *shape)`` int32, in
        the order of execution.

    Returns
    -------
    (batch, classes) int32
        Logits. Where the model's output is tokens: their residual words, (batch, tokens, width),
        or (batch, 1, width) of the pooled one, of which :func:`boards.host.features.features`
        makes features. Where blocks select, these are the tokens that are left:
        :func:`rtl.model.keep.original_tokens` makes of ``tensors`` which ones.

    Raises
    ------
    ValueError
        If ``images`` has another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != model.image:
        raise ValueError(
            f"images must be uint8 (batch, {', '.join(map(str, model.image))}),"
            f" not {images.dtype} {images.shape}"
        )
    chunks: dict[str, list[np.ndarray]] = {}

    def record(name: str, tensor: np.ndarray) -> None:
        if tensors is not None or name == model.output_tensor:
            chunks.setdefault(name, []).append(tensor.astype(np.int32))

    step = _chunk_images(model)
    for start in range(0, max(len(images), 1), step):
        _compute(model, images[start : start + step], record)
    if tensors is not None:
        tensors.update((name, np.concatenate(parts)) for name, parts in chunks.items())
    return np.concatenate(chunks[model.output_tensor])


def _chunk_images(model: IntegerModel) -> int:
    per_token = max(max(block.hidden, block.heads * model.tokens) for block in model.blocks)
    return max(1, CHUNK_VALUES // (model.tokens * max(per_token, model.width)))


def _compute(model: IntegerModel, images: np.ndarray, record: Record) -> None:
    residual = _embed(model, images, record)
    if model.front is not None:
        norm = _norm(residual, model.front.norm, model.act_bits)
        record("front.norm", norm)
        residual = _linear(norm, model.front.layer, *ops.INT16)  # in place of what was there
        record("front", residual)
    for i, block in enumerate(model.blocks):

        def record_in_block(name: str, tensor: np.ndarray, prefix: str = f"blocks.{i}") -> None:
            record(f"{prefix}.{name}", tensor)

        last = i == len(model.blocks) - 1
        queries = model.shape.final_tokens if last else range(residual.shape[1])
        residual = _block(model, block, residual, queries, record_in_block)
    if not isinstance(model.output, Features):
        _classify(model, model.output, residual, record)


def _classify(
    model: IntegerModel, classifier: Classifier, residual: np.ndarray, record: Record
) -> None:
    """The last block's tokens, ``(batch, final tokens, width)``, to the logits."""
    final = _norm(residual, classifier.norm, model.act_bits)
    record("norm", final)
    if classifier.pool is not None:
        final = _pool(model, classifier.norm, classifier.pool, final, record)
    logits = _linear(final, classifier.head, *ops.INT16)  # (batch, 1, classes)
    record("logits", logits[:, 0])


def _embed(model: IntegerModel, images: np.ndarray, record: Record) -> np.ndarray:
    """Pixels to the residual stream: ``(batch, tokens, width)``."""
    pixels = ops.patches(images, model.patch)
    record("pixels", pixels)
    residual = np.repeat(model.position[None].astype(np.int64), len(images), axis=0)
    # Registers and the class token, behind the patches, have none.
    patches = slice(pixels.shape[1])
    residual[:, patches] = _add(residual[:, patches], pixels, model.embed)
    record("embed", residual)
    return residual


def _block(
    model: IntegerModel, block: Block, residual: np.ndarray, queries: range, record: Record
) -> np.ndarray:
    """One transformer block: ``(batch, tokens, width)`` to ``(batch, queries, width)``, or to those
    of the queries that it keeps; all tokens are attended to.
    """
    norm1 = _norm(residual, block.norm1, model.act_bits)
    record("norm1", norm1)
    needed = slice(queries.start, queries.stop)
    residual = residual[:, needed]
    if block.pools:
        residual = np.zeros_like(residual)  # of the query, nothing stays
    context, kept = _attention(model, block, norm1, norm1[:, needed], record)
    residual = _add(residual, context, block.proj)
    if kept is not None:
        residual = np.take_along_axis(residual, kept[..., None], axis=1)
    record("attended", residual)
    norm2 = _norm(residual, block.norm2, model.act_bits)
    record("norm2", norm2)
    codes = _linear(norm2, block.fc1, *ops.INT8)
    hidden = np.concatenate([ops.gelu(codes[..., u], t) for u, t in block.tables()], axis=-1)
    record("hidden", hidden)
    residual = _add(residual, hidden, block.fc2)
    record("output", residual)
    return residual


def _attention(
    model: IntegerModel, block: Block, keys: np.ndarray, queries: np.ndarray, record: Record
) -> tuple[np.ndarray, np.ndarray | None]:
    """Tokens that attend and tokens that are attended to, each ``(batch, tokens, width)``, to the
    context ``(batch, queries, heads * head_dim)`` and the queries that stay, if not all do.
    """
    low, high = code_range(model.act_bits, signed=True)
    q = _linear(queries[..., : block.q.depth], block.q, low, high)
    k = _linear(keys, block.k, *ops.INT8)
    v = _linear(keys, block.v, *ops.INT8)
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        record(name, tensor)
    q, k, v = (_by_head(tensor, block.heads) for tensor in (q, k, v))

    scores = ops.matmul(q, k)  # (batch, heads, queries, keys)
    record("scores", scores)
    weights = ops.softmax_weights(scores, *_per_head(block.softmax), model.act_bits)
    record("attention", weights)

    acc = ops.matmul(weights, v.swapaxes(-1, -2))  # (batch, heads, queries, head_dim)
    totals = weights.sum(axis=-1, keepdims=True)  # (batch, heads, queries, 1)
    kept = None
    if block.keep is not None:
        kept = _select(model, block, block.keep, scores[:, :, -1:], totals[:, :, -1:], record)
    multiplier, shift = ops.context_scale(totals, *_per_head(block.context))
    context = ops.requantize(acc, 0, multiplier, shift, low, high)
    context = context.swapaxes(1, 2).reshape(q.shape[0], q.shape[2], -1)
    record("context", context)
    return context, kept


def _select(
    model: IntegerModel,
    block: Block,
    keep: int,
    scores: np.ndarray,
    totals: np.ndarray,
    record: Record,
) -> np.ndarray:
    """Raw scores of the class token ``(batch, heads, 1, keys)``, and the sums of its attention
    weights ``(batch, heads, 1, 1)``, to the tokens that stay ``(batch, tokens)``, ascending.
    """
    patches = scores.shape[-1] - model.shape.others
    terms = ops.importance_terms(scores, *_per_head(block.softmax), model.act_bits, totals)
    importance = terms.sum(axis=(1, 2))[:, :patches]
    record("importance", importance)
    others = np.arange(patches, scores.shape[-1])
    kept = np.concatenate(
        [ops.select(importance, keep), np.broadcast_to(others, (len(scores), len(others)))], axis=1
    )
    record("kept", kept)
    return kept


def _pool(
    model: IntegerModel, norm: Norm, pool: Pool, final: np.ndarray, record: Record
) -> np.ndarray:
    """The final LayerNorm of the patches ``(batch, patches, width)`` to their mean
    ``(batch, 1, width)``.
    """
    batch, patches, _ = final.shape
    values = final - norm.centre(model.act_bits)
    record("pool.values", values)
    weights = (np.arange(model.tokens) < patches).astype(np.int64)  # (tokens,)
    record("pool.weights", np.broadcast_to(weights, (batch, 1, model.tokens)))
    acc = values.sum(axis=1, keepdims=True)
    codes = code_range(model.act_bits, signed=True)
    mean = ops.requantize(acc, pool.bias, pool.multiplier, pool.shift, *codes)
    record("pool", mean)
    return mean


def _by_head(tensor: np.ndarray, heads: int) -> np.ndarray:
    """``(batch, tokens, heads * head_dim)`` to ``(batch, heads, tokens, head_dim)``."""
    batch, tokens, rows = tensor.shape
    return tensor.reshape(batch, tokens, heads, rows // heads).swapaxes(1, 2)


def _per_head(scales: HeadScales) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts as ``(heads, 1, 1)``."""
    return np.array(scales.multiplier)[:, None, None], np.array(scales.shift)[:, None, None]


def _linear(x: np.ndarray, layer: Linear, low: int, high: int) -> np.ndarray:
    acc = ops.matmul(x, layer.weight)
    return ops.requantize(acc, layer.bias, layer.multiplier, layer.shift, low, high)


def _add(residual: np.ndarray, x: np.ndarray, layer: Linear) -> np.ndarray:
    """Add a layer's result to the residual stream."""
    return ops.add_residual(residual, _linear(x, layer, *ops.INT16), layer.residual_shift)


def _norm(residual: np.ndarray, norm: Norm, act_bits: int) -> np.ndarray:
    low, high = norm.range(act_bits)
    return ops.layer_norm(
        residual,
        epsilon=norm.epsilon,
        gain=norm.gain,
        shift=norm.shift,
        zero=norm.zero,
        exponent=norm.exponent,
        low=low,
        high=high,
    )
