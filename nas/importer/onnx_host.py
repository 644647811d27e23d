"""The end of an ONNX file, behind the final LayerNorm: a classifier, or a host network.

A classifier that the engine cannot run becomes a host network, too, whatever its source.
"""

import numpy as np
import torch
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from nas.importer.network import Affine
from nas.importer.onnx_graph import OnnxGraph
from nas.importer.onnx_parts import read_affine, read_moved

FEATURES = "features"
"""Input of a host network: (batch, tokens, width) float32, the engine's order of tokens."""

LOGITS = "logits"
OPSET = 18
IR_VERSION = 8  # of the same year


def read_classifier(graph: OnnxGraph, tokens: str, order: np.ndarray) -> Affine | None:
    """Return the classifier on the class token, if that is all that follows.

    Parameters
    ----------
    graph : OnnxGraph
    tokens : str
        The output of the final LayerNorm.
    order : (tokens,) int
        As :class:`nas.importer.onnx_blocks.Stem` has it.
    """
    if len(graph.outputs) != 1 or not (found := read_affine(graph, graph.outputs[0])):
        return None
    head, x = found
    moved = read_moved(graph, x)
    width = graph.shapes[tokens][-1]
    first = int(order[-1]) * width
    alone = moved.source == tokens and moved.scale == 1
    if alone and np.array_equal(moved.indices.reshape(-1), np.arange(first, first + width)):
        return head
    return None


def read_host(graph: OnnxGraph, tokens: str, order: np.ndarray) -> bytes | None:
    """Return what follows the final LayerNorm as an ONNX file of its own; None if nothing does.

    The host network puts the tokens back into the file's order. Arguments are those of
    :func:`read_classifier`.

    Raises
    ------
    UserError
        If it reads something else than the final tokens.
    """
    if all(graph.source(name) == tokens for name in graph.outputs):
        return None
    nodes, fixed = _behind(graph, tokens)
    opset = {each.domain: each.version for each in graph.model.opset_import}
    constants = [numpy_helper.from_array(graph.constants[name], name) for name in sorted(fixed)]
    back = "tokens.order"
    constants.append(numpy_helper.from_array(np.argsort(order).astype(np.int64), back))
    reorder = helper.make_node("Gather", [FEATURES, back], [tokens], "tokens", axis=1)
    shape = ["batch", *graph.shapes[tokens][1:]]
    features = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape)
    part = helper.make_graph(
        [reorder, *nodes], "host", [features], list(graph.model.graph.output), constants
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opset.items()]
    model = helper.make_model(part, opset_imports=imports, ir_version=graph.model.ir_version)
    checker.check_model(model)
    return model.SerializeToString()


def host_classifier(head: Affine) -> bytes:
    """Return a classifier as a host network: features (batch, width) to logits (batch, classes).

    Without LayerNorm in front of it, as behind attention pooling, the engine cannot run it: what a
    matrix multiplies there is a LayerNorm's codes.
    """
    classes, width = head.weight.shape
    constants = [
        numpy_helper.from_array(part.to(torch.float32).numpy(), name)
        for name, part in (("weight", head.weight), ("bias", head.bias))
    ]
    node = helper.make_node("Gemm", [FEATURES, "weight", "bias"], [LOGITS], "classifier", transB=1)
    make = helper.make_tensor_value_info
    features = make(FEATURES, TensorProto.FLOAT, ["batch", width])
    logits = make(LOGITS, TensorProto.FLOAT, ["batch", classes])
    graph = helper.make_graph([node], "host", [features], [logits], constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _behind(graph: OnnxGraph, tokens: str) -> tuple[list[NodeProto], set[str]]:
    """Return the nodes behind the final tokens, in the file's order, and the constants they read.

    Shapes of values behind the tokens stay as they are in the file, for any batch; what depends
    on the image's shape alone becomes a constant.
    """
    made = {name: node for node in graph.model.graph.node for name in node.output}
    after = {tokens}
    for node in graph.model.graph.node:
        if after & set(node.input):
            after.update(node.output)
    found, fixed, pending = set(), set(), list(graph.outputs)
    while pending:
        name = pending.pop()
        if name in after - {tokens}:
            if made[name].output[0] not in found:
                found.add(made[name].output[0])
                pending += made[name].input
        elif name in graph.constants:
            fixed.add(name)
        elif name and name != tokens:
            raise graph.refuse(name, "in front of the final LayerNorm: what is behind it reads it")
    return [node for node in graph.model.graph.node if node.output[0] in found], fixed
