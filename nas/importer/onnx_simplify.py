"""Nodes of an ONNX graph that exporters put in, and that change nothing.

Adding zeros, such as a mask of attention that masks nothing, and replacing what is not a number
behind a softmax become identities. A LayerNorm of chosen tokens, as CLIP has it, becomes the choice
of tokens behind a LayerNorm.
"""

from collections.abc import Mapping, MutableMapping

import numpy as np
from onnx import ModelProto, NodeProto, helper

Shapes = MutableMapping[str, tuple[int, ...]]


def simplify(model: ModelProto, constants: Mapping[str, np.ndarray], shapes: Shapes) -> None:
    """Rewrite the nodes of a graph in place; it computes the same.

    Parameters
    ----------
    model : onnx.ModelProto
    constants : dict of str to ndarray
    shapes : dict of str to tuple of int
        Of what depends on the image; those of new values are added.
    """
    made = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "Add":
            _drop_zeros(node, constants, shapes)
        elif node.op_type == "Where":
            _drop_guard(node, made)
    for norm in [node for node in model.graph.node if node.op_type == "LayerNormalization"]:
        _norm_before_choice(model, norm, made, shapes)


def _drop_zeros(
    node: NodeProto, constants: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Pass a value on to which only zeros are added."""
    for value, added in (node.input, reversed(node.input)):
        zeros = constants.get(added)
        if zeros is None or zeros.any() or value not in shapes:  # a sum of constants is one
            continue
        if shapes[value] == shapes[node.output[0]]:
            _pass(node, value)
            return


def _drop_guard(node: NodeProto, made: Mapping[str, NodeProto]) -> None:
    """Pass a value on that is replaced only where it is not a number."""
    condition, _, value = node.input
    test = made.get(condition)
    if test is not None and test.op_type == "IsNaN" and test.input[0] == value:
        _pass(node, value)


def _pass(node: NodeProto, value: str) -> None:
    """Make a node an identity."""
    node.CopyFrom(helper.make_node("Identity", [value], list(node.output), node.name))


def _norm_before_choice(
    model: ModelProto, norm: NodeProto, made: Mapping[str, NodeProto], shapes: Shapes
) -> None:
    """Exchange a choice of tokens and the LayerNorm of these, which is token by token."""
    choice = made.get(norm.input[0])
    if choice is None or choice.op_type != "Gather" or choice.input[0] not in shapes:
        return
    (axis,) = [each.i for each in choice.attribute if each.name == "axis"] or [0]
    stream, tokens = choice.input[0], f"{norm.output[0]}::tokens"
    readers = [node for node in model.graph.node if choice.output[0] in node.input]
    if axis != 1 or len(shapes[stream]) != 3 or len(readers) != 1:
        return
    first, second = NodeProto(), NodeProto()
    first.CopyFrom(norm)
    second.CopyFrom(choice)
    first.input[0], first.output[0] = stream, tokens
    del first.attribute[:]
    kept = [each for each in norm.attribute if each.name != "axis"]
    first.attribute.extend([*kept, helper.make_attribute("axis", -1)])
    second.input[0], second.output[0] = tokens, norm.output[0]
    choice.CopyFrom(first)
    norm.CopyFrom(second)
    shapes[tokens] = shapes[stream]
