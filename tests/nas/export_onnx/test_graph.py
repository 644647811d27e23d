"""A graph is written node by node; constants are stored once, or computed at once."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from nas.export_onnx.graph import BATCH, GraphWriter, NamedOutput


def run(g: GraphWriter, name: str, x: np.ndarray) -> np.ndarray:
    """Run a graph whose one input is ``x``."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    inputs = [helper.make_tensor_value_info("x", kind, [None] * x.ndim)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.INT64, None)]
    graph = helper.make_graph(g.nodes, "test", inputs, outputs, list(g.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run([name], {"x": x})[0])


def test_arithmetic_of_values():
    g = GraphWriter()
    y = g.minus(g.times(g.plus("x", 3), np.array([1, -2])), "x")
    np.testing.assert_array_equal(run(g, g.named(y), np.array([5, 7])), [3, -27])


def test_arithmetic_of_constants_writes_no_node():
    g = GraphWriter()
    found = g.minus(g.times(g.plus(np.array([1, 2]), 3), 10), g.cast(np.uint8(4), np.int64))
    np.testing.assert_array_equal(np.asarray(found), [36, 46])
    assert g.nodes == [] and g.constants == {}


def test_a_cast_of_a_value():
    g = GraphWriter()
    cast = g.named(g.cast(g.cast("x", np.uint8), np.int64))
    np.testing.assert_array_equal(run(g, cast, np.array([3.9, 200.0])), [3, 200])


def test_equal_constants_are_stored_once():
    g = GraphWriter()
    first = g.named(np.array([1, 2]), "weight")
    assert g.named(np.array([1, 2]), "other") == first == "weight"
    assert g.named(np.array([1, 2], np.int32)) != first  # another type
    assert g.named(np.array([[1, 2]])) != first  # another shape
    assert g.named(5) == g.named(np.int64(5)) == "int64.5"
    assert len(g.constants) == 4
    np.testing.assert_array_equal(numpy_helper.to_array(g.constants[first]), [1, 2])


def test_names_say_where_and_are_unique():
    g = GraphWriter()
    with g.scope("blocks.0"):
        with g.scope("inner"):
            deep = g.node("Neg", "x")
        names = [g.node("Neg", "x"), g.node("Neg", "x")]
    assert [deep, *names] == ["inner/Neg", "blocks.0/Neg", "blocks.0/Neg.2"]
    assert g.node("Neg", "x") == "Neg"


def test_a_tap_has_a_name_and_a_shape():
    g = GraphWriter()
    assert g.tap("codes", g.node("Neg", "x"), (2, 3)) == "codes"
    assert g.taps == {"codes": NamedOutput("codes", np.dtype(np.int64), (2, 3))}
    info = g.taps["codes"].info()
    sizes = [size.dim_param or size.dim_value for size in info.type.tensor_type.shape.dim]
    assert sizes == [BATCH, 2, 3]
    np.testing.assert_array_equal(run(g, "codes", np.array([[4]])), [[-4]])


def test_what_is_written_is_valid():
    g = GraphWriter()
    g.tap("y", g.node("Neg", "x"), (2,))
    x = NamedOutput("x", np.dtype(np.int64), (2,))
    graph = helper.make_graph(g.nodes, "test", [x.info()], [g.taps["y"].info()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(model, full_check=True)
    graph.node[0].op_type = "NoSuchOperator"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(checker.ValidationError):
        checker.check_model(model)
