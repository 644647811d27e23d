"""Stem, blocks and final LayerNorm of a vision transformer in an ONNX graph."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto
from torch import Tensor

from nas.importer.network import Affine, FloatBlock, FloatFront, LayerNorm
from nas.importer.onnx_graph import OnnxGraph, attribute, passes
from nas.importer.onnx_parts import (
    MOVES,
    read_mean,
    read_moved,
    region,
    take_activation,
    take_affine,
    take_layer_norm,
    tensor,
)

SCALE_TOLERANCE = 1e-6  # relative; exporters write 1 / sqrt(head_dim) in float32


@dataclass(frozen=True, eq=False)
class Stem:
    """From pixels to the residual stream.

    Parameters
    ----------
    embed : Affine
        (width, patch * patch * channels), the depth in the order of docs/numerics.md, section 3.
    patch : int
    position : (tokens, width) float64
        In the engine's order: patches, then registers, the class token last.
    order : (tokens,) int
        Which token of the source each of the engine's is. Of tokens that are not patches, the
        source's first is taken for the class token.
    patches : int
    """

    embed: Affine
    patch: int
    position: Tensor
    order: np.ndarray
    patches: int


def read_stem(graph: OnnxGraph) -> tuple[Stem, str]:
    """Return the stem, and the name of the residual stream that it makes.

    Raises
    ------
    UserError
        If it is anything but a convolution of patches side by side, with tokens put in front or
        behind, and positions added.
    """
    conv = next(
        node
        for node in graph.producers.values()
        if not passes(node) and graph.image in map(graph.source, node.input)
    )
    embed, patch = _embedding(graph, conv)
    stream = _first_stream(graph)
    nodes, leaves = region(graph, stream, lambda node: node.op_type in ("Concat", "Add", *MOVES))
    if leaves != {conv.output[0]}:
        strange = min(leaves - {conv.output[0]}, default=stream)
        raise graph.refuse(strange, "a part of the embedding of patches and positions")
    shape = graph.shapes[conv.output[0]]  # (1, width, rows, columns)
    start = graph.evaluate(nodes, {conv.output[0]: np.zeros(shape)}, stream)[0]
    # Patch i becomes i + 1 in every channel: what comes out says where it goes.
    numbers = 1.0 + np.arange(shape[2] * shape[3]).reshape(shape[2:])
    found = graph.evaluate(nodes, {conv.output[0]: np.broadcast_to(numbers, shape)}, stream)[0]
    places = np.rint(found - start).astype(int)  # (tokens, width); 0: no patch
    patches = np.flatnonzero(places[:, 0])
    expected = np.arange(1, len(patches) + 1)
    if len(patches) != numbers.size or (places[patches].T != expected).any():
        raise graph.refuse(stream, "patches, row by row, as tokens")
    others = np.flatnonzero(places[:, 0] == 0)
    order = np.concatenate([patches, others[1:], others[:1]])
    return Stem(embed, patch, tensor(start[order]), order, len(patches)), stream


def _embedding(graph: OnnxGraph, conv: NodeProto) -> tuple[Affine, int]:
    """Return the convolution as a linear layer of a patch's pixels, and the patch's size."""
    refusal = graph.refuse(conv.output[0], "a convolution of square patches side by side")
    weight = graph.constants.get(conv.input[1]) if conv.op_type == "Conv" else None
    if weight is None or weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise refusal
    rows, patch = weight.shape[0], weight.shape[2]
    bias = graph.constants[conv.input[2]] if len(conv.input) > 2 else np.zeros(rows)
    plain = (
        attribute(conv, "strides") == [patch, patch]
        and set(attribute(conv, "pads") or [0]) == {0}  # pyright: ignore[reportArgumentType]
        and set(attribute(conv, "dilations") or [1]) == {1}  # pyright: ignore[reportArgumentType]
        and attribute(conv, "group", 1) == 1
        and attribute(conv, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    )
    if not plain:
        raise refusal
    weight = tensor(weight).permute(0, 2, 3, 1).reshape(rows, -1)
    return Affine(weight, tensor(bias)), patch


def _first_stream(graph: OnnxGraph) -> str:
    """Return the input of the first LayerNorm."""
    for name, node in graph.producers.items():
        if node.op_type == "LayerNormalization":
            return graph.source(node.input[0])
        if x := read_mean(graph, name):
            return x
    raise graph.refuse(graph.outputs[0], "a transformer with LayerNorm")


def read_front(graph: OnnxGraph, stream: str) -> tuple[FloatFront | None, str]:
    """Return a LayerNorm between stem and blocks, if there is one, and the stream of the blocks."""
    name = _normalized(graph, stream)
    if _branch(graph, stream) or name == stream or not _branch(graph, name):
        return None, stream
    return FloatFront(take_layer_norm(graph, name)[0]), name


def read_blocks(graph: OnnxGraph, stream: str) -> tuple[list[FloatBlock], str]:
    """Return the blocks that start with a residual stream, and the stream behind them.

    Raises
    ------
    UserError
        If a node is not what a plain block has in its place.
    """
    blocks = []
    while _branch(graph, stream):
        block, stream = _block(graph, stream)
        blocks.append(block)
    if not blocks:
        raise graph.refuse(stream, "followed by blocks of attention and MLP")
    return blocks, stream


def _branch(graph: OnnxGraph, stream: str) -> tuple[str, str] | None:
    """Return the next residual stream, and what is added to this one."""
    for node in graph.consumers(stream, "Add"):
        first, second = map(graph.source, node.input)
        if graph.split(node) is None:
            return node.output[0], second if first == stream else first
    return None


def _block(graph: OnnxGraph, stream: str) -> tuple[FloatBlock, str]:
    """Return one block, and the residual stream behind it."""
    attended, value = _required_branch(graph, stream)
    scale1, value = _layer_scale(graph, value)
    proj, value = take_affine(graph, value, "the projection behind the attention")
    heads, (q, k, v), proj, value = _attention(graph, value, proj)
    norm1 = _norm_of(graph, value, stream)
    output, value = _required_branch(graph, attended)
    scale2, value = _layer_scale(graph, value)
    fc2, value = take_affine(graph, value, "the second layer of the MLP")
    activation, value = take_activation(graph, value)
    fc1, value = take_affine(graph, value, "the first layer of the MLP")
    norm2 = _norm_of(graph, value, attended)
    block = FloatBlock(heads, norm1, q, k, v, proj, scale1, norm2, fc1, fc2, scale2, activation)
    return block, output


def _required_branch(graph: OnnxGraph, stream: str) -> tuple[str, str]:
    if found := _branch(graph, stream):
        return found
    raise graph.refuse(stream, "a part of a block of attention, then MLP")


def _layer_scale(graph: OnnxGraph, name: str) -> tuple[Tensor, str]:
    """Return the scale per channel of a branch, ones without, and what it scales."""
    width = graph.shapes[name][-1]
    node = graph.node(name, "Mul")
    if node and (parts := graph.split(node)) and parts[1].size in (1, width):
        return tensor(np.broadcast_to(parts[1].reshape(-1), (width,))), parts[0]
    return tensor(np.ones(width)), name


def _norm_of(graph: OnnxGraph, name: str, stream: str) -> LayerNorm:
    """Return the LayerNorm that makes a value out of a residual stream."""
    norm, x = take_layer_norm(graph, name)
    if x != stream:
        raise graph.refuse(name, "a LayerNorm of the residual stream")
    return norm


def _attention(
    graph: OnnxGraph, name: str, proj: Affine
) -> tuple[int, tuple[Affine, Affine, Affine], Affine, str]:
    """Return heads, Q, K, V, the projection for heads in order, and the input of the attention."""
    context = read_moved(graph, name)
    product = graph.node(context.source, "MatMul")
    softmax = product and graph.node(product.input[0], "Softmax")
    if not (product and softmax):
        raise graph.refuse(context.source, "attention: a product of softmax and values")
    rank = len(graph.shapes[softmax.output[0]])
    if attribute(softmax, "axis", -1) not in (-1, rank - 1):
        raise graph.refuse(softmax.output[0], "a softmax over the keys")
    scores = read_moved(graph, softmax.input[0])
    scored = graph.node(scores.source, "MatMul")
    if scored is None:
        raise graph.refuse(scores.source, "a product of queries and keys")
    q, scale_q, heads, x = _heads(graph, scored.input[0])
    k, scale_k, _, from_k = _heads(graph, scored.input[1], transposed=True)
    v, scale_v, _, from_v = _heads(graph, product.input[1])
    if not x == from_k == from_v or not len(q.bias) == len(k.bias) == len(v.bias):
        raise graph.refuse(scores.source, "attention of tokens to each other")
    head_dim = len(q.bias) // heads
    ratio = scale_q * scale_k * scores.scale * head_dim**0.5
    if abs(ratio - 1) > SCALE_TOLERANCE:
        q = Affine(q.weight * ratio, q.bias * ratio)
    if scale_v != 1:
        v = Affine(v.weight * scale_v, v.bias * scale_v)
    tokens = graph.shapes[name][-2]
    head, token, channel = np.unravel_index(context.indices, (heads, tokens, head_dim))
    columns = (head * head_dim + channel).reshape(tokens, -1)
    if (token.reshape(tokens, -1).T != np.arange(tokens)).any() or (columns != columns[0]).any():
        raise graph.refuse(name, "the heads' contexts side by side")
    weight = proj.weight.clone()
    weight[:, columns[0].tolist()] = proj.weight * context.scale
    return heads, (q, k, v), Affine(weight, proj.bias), x


def _heads(graph: OnnxGraph, name: str, transposed: bool = False) -> tuple[Affine, float, int, str]:
    """Return the linear layer of Q, K or V in the order of heads, its scale, heads, its input."""
    moved = read_moved(graph, name)
    layer, x = take_affine(graph, moved.source, "a linear layer of queries, keys or values")
    indices = moved.indices.reshape(moved.indices.shape[-3:])  # (heads, tokens, head_dim)
    indices = indices.swapaxes(1, 2) if transposed else indices
    token, row = np.divmod(indices, len(layer.bias))
    if (token.swapaxes(1, 2) != np.arange(token.shape[1])).any() or (row != row[:, :1]).any():
        raise graph.refuse(name, "queries, keys or values, head by head")
    rows = row[:, 0].reshape(-1).tolist()
    return Affine(layer.weight[rows], layer.bias[rows]), moved.scale, len(row), x


def read_final_norm(graph: OnnxGraph, stream: str) -> tuple[LayerNorm, str]:
    """Return the LayerNorm behind the last block, and the name of its output.

    Raises
    ------
    UserError
        If there is none.
    """
    name = _normalized(graph, stream)
    norm, x = take_layer_norm(graph, name)
    if x != stream:
        raise graph.refuse(name, "the final LayerNorm")
    return norm, name


def _normalized(graph: OnnxGraph, stream: str) -> str:
    """Return the output of what seems to be a LayerNorm of a stream; the stream without one."""
    name = stream
    for kinds in (("Sub", "LayerNormalization"), ("Div",), ("Mul",), ("Add",)):
        for node in graph.consumers(name, *kinds):
            if kinds not in (("Mul",), ("Add",)) or graph.split(node):
                name = node.output[0]
                break
    return name
