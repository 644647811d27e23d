"""ONNX's operator Attention: what stands in its place computes the same, or it is named."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from nas.importer import load
from nas.importer.onnx_attention import expand_attention
from rtl.errors import UserError
from tests.nas.importer.torch_exports import NEWER

HEADS, TOKENS, SIZE = 2, 5, 3
JOINED = {"q_num_heads": HEADS, "kv_num_heads": HEADS}


def attention(shape, **attributes):
    """A model of one node, whose queries, keys and values have this shape."""
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], "attention", **attributes)
    make = helper.make_tensor_value_info
    inputs = [make(name, TensorProto.FLOAT, shape) for name in "qkv"]
    graph = helper.make_graph([node], "one", inputs, [make("y", TensorProto.FLOAT, shape)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def run(model, shape):
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=shape).astype(np.float32) for name in "qkv"}
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)
    return np.asarray(found)


@pytest.mark.parametrize("scale", [{}, {"scale": 0.7}])
@pytest.mark.parametrize(
    "shape, heads",
    [((2, HEADS, TOKENS, SIZE), {}), ((2, TOKENS, HEADS * SIZE), JOINED)],
    ids=["apart", "joined"],
)
def test_other_nodes_compute_the_same(shape, heads, scale):
    model = attention(shape, **heads, **scale)
    expected = run(model, shape)
    expand_attention(model)
    onnx.checker.check_model(model)
    assert "Attention" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(run(model, shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "attributes",
    [{"is_causal": 1}, {"softcap": 30.0}, {"q_num_heads": 4, "kv_num_heads": 2}],
)
def test_what_plain_attention_has_not_stays(attributes):
    model = attention((2, HEADS, TOKENS, SIZE), **attributes)
    expand_attention(model)
    assert [node.op_type for node in model.graph.node] == ["Attention"]


def test_attention_of_another_kind_is_refused_by_its_path(tmp_path):
    model = onnx.load(NEWER[23])
    node = next(node for node in model.graph.node if node.op_type == "Attention")
    next(each for each in node.attribute if each.name == "is_causal").i = 1
    onnx.save(model, tmp_path / "causal.onnx")
    with pytest.raises(UserError, match=r"unsupported node node_scaled.*\(Attention\): not atten"):
        load(tmp_path / "causal.onnx", mean=(0.5,), std=(0.5,))
