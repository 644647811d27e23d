"""ONNX's operator ``Attention`` in the simpler ones that it stands for.

torch's newer exporter writes it from opset 23 on. What it can do besides plain attention (a mask,
kept keys, fewer heads of keys than of queries, ...) is left as it is, and refused later by name.

Source: https://onnx.ai/onnx/operators/onnx__Attention.html.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

KIND = "Attention"
PLAIN = {"is_causal": 0, "softcap": 0.0, "qk_matmul_output_mode": 0}
"""Attributes with the values that plain attention has."""
ALLOWED = {"scale", "q_num_heads", "kv_num_heads", "softmax_precision", *PLAIN}


def expand_attention(model: ModelProto) -> None:
    """Replace every plain ``Attention`` of a graph, in place."""
    nodes = list(model.graph.node)
    if not any(node.op_type == KIND for node in nodes):
        return
    del model.graph.node[:]
    for node in nodes:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        plain = node.op_type == KIND and _plain(node, attributes)
        model.graph.node.extend(
            _AttentionParts(node, model).nodes(**attributes) if plain else [node]
        )


def _plain(node: NodeProto, attributes: dict[str, object]) -> bool:
    """Whether a node is attention of tokens to each other, and nothing else."""
    heads = {attributes.get("q_num_heads"), attributes.get("kv_num_heads")}
    return (
        len([name for name in node.input if name]) == 3
        and len([name for name in node.output if name]) == 1
        and attributes.keys() <= ALLOWED
        and all(attributes.get(name, value) == value for name, value in PLAIN.items())
        and len(heads) == 1
    )


class _AttentionParts:
    """Nodes in the place of one."""

    def __init__(self, node: NodeProto, model: ModelProto) -> None:
        self.node, self.model = node, model
        self.made: list[NodeProto] = []

    def nodes(
        self, scale: float | None = None, q_num_heads: int | None = None, **others: object
    ) -> Iterator[NodeProto]:
        """Yield products, softmax, and what splits and joins heads where the inputs are joined.

        Parameters
        ----------
        scale : float, optional
            Of the scores; 1 / sqrt(head_dim) without it.
        q_num_heads : int, optional
            Where queries, keys and values are (batch, tokens, heads * head_dim), not (batch,
            heads, tokens, head_dim).
        """
        (q, k, v), last = self.node.input[:3], self.node.output[0]
        if q_num_heads:
            q, k, v = (self._split(name, q_num_heads) for name in (q, k, v))
        k = self._add("Transpose", k, perm=[0, 1, 3, 2])
        scores = self._add("MatMul", q, k)
        scores = self._add("Mul", scores, self._scale(q, scale))
        weights = self._add("Softmax", scores, axis=-1)
        if q_num_heads:
            context = self._add("Transpose", self._add("MatMul", weights, v), perm=[0, 2, 1, 3])
            self._add("Reshape", context, self._constant([0, 0, -1]), output=last)
        else:
            self._add("MatMul", weights, v, output=last)
        yield from self.made

    def _split(self, name: str, heads: int) -> str:
        split = self._add("Reshape", name, self._constant([0, 0, heads, -1]))
        return self._add("Transpose", split, perm=[0, 2, 1, 3])

    def _scale(self, q: str, scale: float | None) -> str:
        if scale is not None:
            return self._constant(np.float32(scale))
        size = self._add("Gather", self._add("Shape", q), self._constant(-1))
        return self._add(
            "Reciprocal", self._add("Sqrt", self._add("Cast", size, to=TensorProto.FLOAT))
        )

    def _constant(self, value: np.float32 | list[int] | int) -> str:
        array = np.asarray(value)  # whole numbers become int64
        name = f"{self.node.output[0]}::constant{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{self.node.output[0]}::{kind}{len(self.made)}"
        name = f"{self.node.name or self.node.output[0]}/{kind}{len(self.made)}"
        self.made.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output
