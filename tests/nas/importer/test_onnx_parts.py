"""Parts of an ONNX graph, in the pieces that opset 14 has and as single nodes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.importer.onnx_graph import read_graph
from nas.importer.onnx_parts import read_affine, read_moved, take_activation, take_layer_norm
from rtl.errors import UserError
from tests.nas.importer.tiny import Style, export


def graph_of(folder, nodes, opset=20, **constants):
    """Build a graph from the image (1, 3, 4, 5) to ``y``."""
    arrays = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph(nodes, "part", [x], [y], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, folder / "part.onnx")
    return read_graph(folder / "part.onnx")


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], f"/{output}", **attributes)


def test_layer_norm_as_one_node(tmp_path):
    weight, bias = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    norm = node("LayerNormalization", "x w b", "y", epsilon=1e-12)
    found, x = take_layer_norm(graph_of(tmp_path, [norm], w=weight, b=bias), "y")
    assert (found.weight.tolist(), found.bias.tolist()) == (weight.tolist(), bias.tolist())
    assert (found.epsilon, x) == (1e-12, "x")
    alone = node("LayerNormalization", "x w", "y")
    found, _ = take_layer_norm(graph_of(tmp_path, [alone], w=weight), "y")
    assert (found.bias.tolist(), found.epsilon) == ([0] * 5, 1e-5)


@pytest.mark.parametrize("axis, exponent", [(-2, 2.0), (-1, 3.0)])
def test_other_norms_are_refused_with_their_path(tmp_path, axis, exponent):
    nodes = [
        node("ReduceMean", "x", "mean", axes=[axis]),
        node("Sub", "x mean", "centred"),
        node("Pow", "centred two", "square"),
        node("ReduceMean", "square", "variance", axes=[-1]),
        node("Add", "variance epsilon", "more"),
        node("Sqrt", "more", "deviation"),
        node("Div", "centred deviation", "y"),
    ]
    numbers = {"two": np.float32(exponent), "epsilon": np.float32(1e-6)}
    graph = graph_of(tmp_path, nodes, opset=14, **numbers)
    with pytest.raises(UserError, match=r"part.onnx: unsupported node /y .Div.: not a LayerNorm"):
        take_layer_norm(graph, "y")


def test_a_gemm_is_a_linear_layer(tmp_path):
    weight, bias = np.arange(12, dtype=np.float32).reshape(2, 6)[:, :5], np.ones(2, np.float32)
    shape = np.array([12, 5])
    nodes = [node("Reshape", "x s", "flat"), node("Gemm", "flat w b", "y", transB=1)]
    graph = graph_of(tmp_path, nodes, w=weight, b=bias, s=shape)
    layer, x = read_affine(graph, "y") or pytest.fail("not found")
    assert (layer.weight.tolist(), layer.bias.tolist(), x) == (weight.tolist(), [1, 1], "flat")
    twice = graph_of(
        tmp_path, [nodes[0], node("Gemm", "flat w", "y", alpha=2.0, transB=1)], w=weight, s=shape
    )
    assert read_affine(twice, "y") is None
    assert read_affine(twice, "flat") is None


@pytest.mark.parametrize("approximate, kind", [("none", "erf"), ("tanh", "tanh")])
def test_gelu_as_one_node(tmp_path, approximate, kind):
    graph = graph_of(tmp_path, [node("Gelu", "x", "y", approximate=approximate)])
    assert take_activation(graph, "y") == (kind, "x")


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", "x", "y")],
        [node("Sigmoid", "x", "s"), node("Mul", "s x", "y")],
        [node("ReduceMax", "x", "m"), node("Gelu", "x", "g"), node("Mul", "g m", "y")],
    ],
)
def test_other_activations_are_refused(tmp_path, nodes):
    with pytest.raises(UserError, match=r"not one of the kinds of GELU .erf, tanh, quick."):
        take_activation(graph_of(tmp_path, nodes), "y")


def test_elements_are_followed_through_moves_and_scales(tmp_path):
    nodes = [
        node("Relu", "x", "r"),
        node("Transpose", "r", "t", perm=[0, 3, 1, 2]),
        node("Mul", "t half", "m"),
        helper.make_node("Split", ["m", "sizes"], ["a", "b"], "/split", axis=1),
        node("Div", "b quarter", "y"),
    ]
    graph = graph_of(
        tmp_path, nodes, half=np.float32(0.5), quarter=np.float32(0.25), sizes=np.array([2, 3])
    )
    moved = read_moved(graph, "y")
    expected = np.arange(60).reshape(1, 3, 4, 5).transpose(0, 3, 1, 2)[:, 2:]
    assert (moved.source, moved.scale) == ("r", 2.0)
    assert np.array_equal(moved.indices, expected)


def test_quotients_by_a_value_are_no_scale(tmp_path):
    graph = graph_of(tmp_path, [node("Div", "one x", "y")], one=np.float32(1))
    moved = read_moved(graph, "y")
    assert (moved.source, moved.scale) == ("y", 1.0)


def test_pieces_of_a_real_export(tmp_path):
    graph = read_graph(export(tmp_path, Style("tokens"))[0])
    norm, _ = take_layer_norm(graph, "output")
    assert norm.epsilon == 1e-5
