"""Nodes that change nothing: the graph without them computes the same."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from nas.importer.onnx_simplify import simplify

CONSTANTS = {
    "zeros": np.zeros((1, 4), np.float32),
    "large": np.zeros((5, 3, 4), np.float32),
    "ones": np.ones((1, 4), np.float32),
    "weight": np.arange(4, dtype=np.float32),
    "zero": np.zeros((), np.float32),
    "first": np.array(0),
    "some": np.array([2, 1]),
}
SHAPES = {"x": (1, 3, 4)}


def model_of(*nodes):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 4))]
    inputs += [helper.make_empty_tensor_value_info(name) for name in CONSTANTS]
    outputs = [helper.make_empty_tensor_value_info("y")]
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **node[3]) for node in nodes], "g", inputs, outputs
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def run(model):
    x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype(np.float32)
    (found,) = ReferenceEvaluator(model).run(None, {"x": x, **CONSTANTS})  # pyright: ignore
    return np.asarray(found)


def simplified(*nodes, shapes=()):
    """Return the kinds of nodes that are left; what they compute is the same."""
    model = model_of(*nodes)
    before = run(model)
    simplify(model, CONSTANTS, {**SHAPES, **dict(shapes)})
    np.testing.assert_allclose(run(model), before, rtol=1e-6)
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("names", [["x", "zeros"], ["zeros", "x"]])
def test_zeros_that_are_added(names):
    assert simplified(("Add", names, ["y"], {}), shapes={"y": (1, 3, 4)}) == ["Identity"]


@pytest.mark.parametrize(
    ("names", "shape"),
    [(["x", "ones"], (1, 3, 4)), (["x", "large"], (5, 3, 4)), (["x", "x"], (1, 3, 4))],
)
def test_other_sums_stay(names, shape):
    """Zeros that make the value larger are some of these."""
    assert simplified(("Add", names, ["y"], {}), shapes={"y": shape}) == ["Add"]


def test_sums_of_constants_stay():
    """Of these, no shapes are known: a query of attention pooling is one."""
    assert simplified(("Add", ["ones", "zeros"], ["y"], {})) == ["Add"]


def test_a_guard_against_what_is_not_a_number():
    nodes = [("Softmax", ["x"], ["s"], {}), ("IsNaN", ["s"], ["bad"], {})]
    guard = ("Where", ["bad", "zero", "s"], ["y"], {})
    assert simplified(*nodes, guard) == ["Softmax", "IsNaN", "Identity"]
    swapped = ("Where", ["bad", "s", "zero"], ["y"], {})
    assert simplified(*nodes, swapped) == ["Softmax", "IsNaN", "Where"]
    other = ("Where", ["bad", "zero", "x"], ["y"], {})
    assert simplified(*nodes, other) == ["Softmax", "IsNaN", "Where"]


@pytest.mark.parametrize("index", ["first", "some"])
def test_a_norm_of_chosen_tokens(index):
    nodes = [
        ("Gather", ["x", index], ["chosen"], {"axis": 1}),
        ("LayerNormalization", ["chosen", "weight"], ["y"], {"epsilon": 1e-3}),
    ]
    assert simplified(*nodes) == ["LayerNormalization", "Gather"]


def test_a_norm_of_a_choice_that_something_else_reads_stays():
    nodes = [
        ("Gather", ["x", "some"], ["chosen"], {"axis": 1}),
        ("LayerNormalization", ["chosen", "weight"], ["normal"], {}),
        ("Add", ["normal", "chosen"], ["y"], {}),
    ]
    assert simplified(*nodes, shapes={"y": (1, 2, 4)})[0] == "Gather"


def test_a_norm_of_chosen_channels_stays():
    model = model_of(
        ("Gather", ["x", "some"], ["chosen"], {"axis": 2}),
        ("LayerNormalization", ["chosen", "zero"], ["y"], {}),
    )
    simplify(model, CONSTANTS, dict(SHAPES))
    assert [node.op_type for node in model.graph.node] == ["Gather", "LayerNormalization"]
