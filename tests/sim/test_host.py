"""The host network: run where onnxruntime is, checked before it is."""

import hashlib
import sys

import numpy as np
import pytest

from rtl.errors import UserError
from rtl.model import HostNetwork
from sim.host import load_host, open_host

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def doubling(inputs=("features",), batch: str | int = "batch") -> bytes:
    """A network that gives twice the sum of its inputs, (batch, 3), and their count."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = [batch, 3]
    nodes = [
        helper.make_node("Sum", list(inputs), ["sum"]),
        helper.make_node("Add", ["sum", "sum"], ["double"]),
        helper.make_node("Shape", ["sum"], ["shape"]),
    ]
    graph = helper.make_graph(
        nodes,
        "host",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [
            helper.make_tensor_value_info("double", kind, shape),
            helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, [2]),
        ],
    )
    opset = [helper.make_opsetid("", 14)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.fixture
def beside(tmp_path):
    """A host network beside a model's file, and what the model says about it."""
    (tmp_path / "a.host.onnx").write_bytes(doubling())
    return HostNetwork("a.host.onnx", hashlib.sha256(doubling()).hexdigest())


def test_features_become_outputs_by_name(beside, tmp_path):
    host = open_host(tmp_path / "a.pulsar", beside)
    assert host
    found = host(np.array([[1, 2, 3]], np.float64))
    assert found["double"].tolist() == [[2, 4, 6]] and found["shape"].tolist() == [1, 3]


def test_a_network_for_one_image_takes_several_one_by_one(tmp_path):
    made = doubling(batch=1)
    (tmp_path / "a.host.onnx").write_bytes(made)
    said = HostNetwork("a.host.onnx", hashlib.sha256(made).hexdigest())
    host = open_host(tmp_path / "a.pulsar", said)
    assert host
    found = host(np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    assert found["double"].tolist() == [[2, 4, 6], [8, 10, 12]]


def test_another_file_is_refused(beside, tmp_path):
    (tmp_path / "a.host.onnx").write_bytes(doubling() + b" ")
    with pytest.raises(UserError, match=r"is not the host network of a.pulsar: its SHA-256 is"):
        open_host(tmp_path / "a.pulsar", beside)


def test_a_missing_file_is_refused(beside, tmp_path):
    (tmp_path / "a.host.onnx").unlink()
    with pytest.raises(UserError, match=r"a.host.onnx: no such file: the host network of a.pulsar"):
        open_host(tmp_path / "a.pulsar", beside)


def test_what_is_no_host_network_is_refused():
    with pytest.raises(UserError, match=r"^x: onnxruntime refuses it: [^\n]+$"):
        load_host(b"no network", "x")
    with pytest.raises(UserError, match="x has 2 inputs, a host network has one"):
        load_host(doubling(("features", "more")), "x")


def test_features_of_another_shape_are_refused():
    host = load_host(doubling(), "x")
    assert host
    with pytest.raises(UserError, match=r"^x does not take features of \(1, 4\): [^\n]+$"):
        host(np.zeros((1, 4)))


def test_without_onnxruntime_there_is_no_host(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert load_host(doubling(), "x") is None
