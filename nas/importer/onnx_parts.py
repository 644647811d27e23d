"""Parts of a vision transformer in an ONNX graph, found by what they compute.

Each function reads backwards from the value that a part makes, and returns the part and the value
that it takes. How data move (reshapes, transposes, slices) is found by moving indices instead.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from onnx import NodeProto
from torch import Tensor

from nas.importer.activations import GELU_GRID, kind_of
from nas.importer.network import ACTIVATIONS, Affine, LayerNorm
from nas.importer.onnx_graph import OnnxGraph, attribute, passes

MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Split", "Slice", "Gather")
ELEMENTWISE = (
    *("Add", "Sub", "Mul", "Div", "Neg", "Pow", "Sqrt", "Reciprocal"),
    *("Erf", "Tanh", "Sigmoid", "Gelu", "HardSigmoid", "Relu", "LeakyRelu", "Exp", "Clip"),
)


def tensor(array: np.ndarray) -> Tensor:
    """Copy an array to float64."""
    return torch.from_numpy(np.array(array, np.float64))


def read_affine(graph: OnnxGraph, name: str) -> tuple[Affine, str] | None:
    """Return the linear layer that makes a value, and its input; None if none does."""
    node, bias = graph.node(name, "MatMul", "Gemm"), None
    if (add := graph.node(name, "Add")) and (parts := graph.split(add)):
        node, bias = graph.node(parts[0], "MatMul"), parts[1]
    if node is None or node.input[1] not in graph.constants:
        return None
    weight = graph.constants[node.input[1]]
    if node.op_type == "Gemm":
        if attribute(node, "transA", 0) or {attribute(node, k, 1.0) for k in ("alpha", "beta")} != {
            1.0
        }:
            return None
        weight = weight.T if attribute(node, "transB", 0) else weight
        if len(node.input) > 2:
            bias = graph.constants.get(node.input[2])
    if weight.ndim != 2:
        return None
    rows = weight.shape[1]
    bias = np.zeros(rows) if bias is None else np.broadcast_to(bias.reshape(-1), (rows,))
    return Affine(tensor(weight.T), tensor(bias)), graph.source(node.input[0])


def take_affine(graph: OnnxGraph, name: str, what: str) -> tuple[Affine, str]:
    """Return a linear layer and its input.

    Raises
    ------
    UserError
        If the value is made by something else.
    """
    if found := read_affine(graph, name):
        return found
    raise graph.refuse(name, what)


def take_layer_norm(graph: OnnxGraph, name: str) -> tuple[LayerNorm, str]:
    """Return a LayerNorm, written as one node or in pieces, and its input.

    Raises
    ------
    UserError
        If the value is made by something else.
    """
    refusal = graph.refuse(name, "a LayerNorm over the channels")
    if node := graph.node(name, "LayerNormalization"):
        x = graph.source(node.input[0])
        width = graph.shapes[x][-1]
        arrays = [graph.constants.get(each) for each in node.input[1:3]]
        bias = arrays[1] if len(arrays) > 1 else np.zeros(width)
        if attribute(node, "axis", -1) not in (-1, 2) or arrays[0] is None or bias is None:
            raise refusal
        epsilon = float(attribute(node, "epsilon", 1e-5))  # pyright: ignore[reportArgumentType]
        return LayerNorm(tensor(arrays[0]), tensor(bias), _decimal(epsilon)), x
    value, factors = graph.source(name), {}
    for kind in ("Add", "Mul"):
        if (node := graph.node(value, kind)) and (parts := graph.split(node)):
            value, factors[kind] = parts
    quotient = graph.node(value, "Div")
    centred = quotient and graph.node(quotient.input[0], "Sub")
    root = quotient and graph.node(quotient.input[1], "Sqrt")
    shifted = root and graph.node(root.input[0], "Add")
    parts = shifted and graph.split(shifted)
    variance = parts and read_mean(graph, parts[0])
    if not (centred and parts and variance):
        raise refusal
    x = graph.source(centred.input[0])
    mean = read_mean(graph, centred.input[1])
    if mean != x or not _squared(graph, variance, graph.source(centred.output[0])):
        raise refusal
    width = graph.shapes[x][-1]
    weight, bias = factors.get("Mul", np.ones(1)), factors.get("Add", np.zeros(1))
    epsilon = _decimal(float(parts[1].reshape(-1)[0]))
    weight, bias = (tensor(np.broadcast_to(e.reshape(-1), (width,))) for e in (weight, bias))
    return LayerNorm(weight, bias, epsilon), x


def _decimal(value: float) -> float:
    """Return the decimal number that a float32 was written for, such as 1e-6."""
    return float(str(np.float32(value)))


def read_mean(graph: OnnxGraph, name: str) -> str | None:
    """Return the value that a mean over the last axis is taken of."""
    node = graph.node(name, "ReduceMean")
    if node is None:
        return None
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1:
        axes = graph.constants.get(node.input[1], np.zeros(0)).tolist()
    x = graph.source(node.input[0])
    return x if axes in ([-1], [len(graph.shapes[x]) - 1]) else None


def _squared(graph: OnnxGraph, name: str, base: str) -> bool:
    """Whether a value is the square of another."""
    if node := graph.node(name, "Pow"):
        exponent = graph.constants.get(node.input[1], np.zeros(1))
        return graph.source(node.input[0]) == base and bool((exponent == 2).all())
    node = graph.node(name, "Mul")
    return node is not None and {graph.source(each) for each in node.input} == {base}


def take_activation(graph: OnnxGraph, name: str) -> tuple[str, str]:
    """Return the kind of GELU that makes a value, and its input, which a linear layer makes.

    It is found by its values: exporters write GELU in many ways.

    Raises
    ------
    UserError
        If it is none of :data:`nas.importer.network.ACTIVATIONS`.
    """
    nodes, leaves = region(
        graph,
        name,
        lambda node: node.op_type in ELEMENTWISE and not read_affine(graph, node.output[0]),
    )
    refusal = graph.refuse(name, f"one of the kinds of GELU ({', '.join(ACTIVATIONS)})")
    if len(leaves) != 1 or not nodes:
        raise refusal
    (x,) = leaves
    found = graph.evaluate(nodes, {x: GELU_GRID.numpy()}, name)
    if (kind := kind_of(torch.from_numpy(found))) is None:
        raise refusal
    return kind, x


def region(
    graph: OnnxGraph, name: str, inside: Callable[[NodeProto], bool]
) -> tuple[list[NodeProto], set[str]]:
    """Return the nodes behind a value as far as they fit, in the file's order, and their inputs."""
    found, leaves, pending = set(), set(), [name]
    while pending:
        value = pending.pop()
        node = graph.producers.get(value)
        if node is None or not (passes(node) or inside(node)):
            leaves.add(value)
        elif node.output[0] not in found:
            found.add(node.output[0])
            pending += [each for each in node.input if each and each not in graph.constants]
    return [node for node in graph.model.graph.node if node.output[0] in found], leaves


@dataclass(frozen=True, eq=False)
class Moved:
    """A value that holds another one's elements in another order, times a number.

    Parameters
    ----------
    source : str
        The other value.
    indices : ndarray of int
        In the shape of the value: positions in the flattened source.
    scale : float
    """

    source: str
    indices: np.ndarray
    scale: float


def read_moved(graph: OnnxGraph, name: str) -> Moved:
    """Return where the elements of a value come from: the nearest value that is computed."""
    steps, scale, value = [], 1.0, name
    while node := graph.producers.get(value):
        factor = _factor(graph, node)
        if factor is not None:
            scale *= factor
        elif node.op_type in MOVES:
            steps.append((node, value))
        elif not passes(node):
            break
        value = next(each for each in node.input if each not in graph.constants)
    shape = graph.shapes[value]
    indices = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    for node, output in reversed(steps):
        indices = graph.evaluate([node], {node.input[0]: indices}, output)
    return Moved(value, indices.astype(np.int64), scale)


def _factor(graph: OnnxGraph, node: NodeProto) -> float | None:
    """Return the number that a node multiplies its input by, if that is all it does."""
    parts = graph.split(node) if node.op_type in ("Mul", "Div") else None
    if parts is None or parts[1].size != 1:
        return None
    number = float(parts[1].reshape(-1)[0])
    if node.op_type == "Mul":
        return number
    return 1 / number if node.input[1] in graph.constants else None
