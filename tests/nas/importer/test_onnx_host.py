"""What follows the final LayerNorm of an ONNX file."""

import numpy as np
import onnxruntime
import pytest

from nas.importer.network import Affine
from nas.importer.onnx_graph import read_graph
from nas.importer.onnx_host import host_classifier, read_classifier, read_host
from nas.importer.onnx_parts import tensor
from rtl.errors import UserError
from tests.nas.importer.tiny import Style, export

LAST = np.array([*range(1, 10), 0])  # patches, then the class token


def final_norm(graph):
    """Return the value that only nodes behind the blocks read."""
    (name,) = [n for n in graph.producers if n.startswith("/norm/Add_1")]
    return name


def test_the_host_takes_any_batch_in_the_engines_order(tmp_path):
    graph = read_graph(export(tmp_path)[0])
    host = read_host(graph, final_norm(graph), LAST) or pytest.fail("no host")
    session = onnxruntime.InferenceSession(host)
    (features,) = session.get_inputs()
    assert (features.name, features.shape) == ("features", ["batch", 10, 24])
    given = np.random.default_rng(0).normal(size=(2, 10, 24)).astype(np.float32)
    (maps,) = session.run(None, {"features": given})
    given[:, -1] += 1  # the class token: the decoder does not read it
    (same,) = session.run(None, {"features": given})
    given[:, 0] += 1
    (other,) = session.run(None, {"features": given})
    maps, same, other = map(np.asarray, (maps, same, other))
    assert maps.shape == (2, 1, 12, 12)
    assert np.array_equal(maps, same) and not np.array_equal(maps, other)


def test_an_end_that_reads_an_early_block_is_refused(tmp_path):
    graph = read_graph(export(tmp_path, Style("early"))[0])
    with pytest.raises(
        UserError, match=r"unsupported node /Transpose_2 .*: not in front of the fin"
    ):
        read_host(graph, final_norm(graph), LAST)


def test_a_classifier_as_a_host_network():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, 3)), rng.normal(size=5)
    session = onnxruntime.InferenceSession(host_classifier(Affine(tensor(weight), tensor(bias))))
    x = rng.normal(size=(4, 3)).astype(np.float32)
    (logits,) = session.run(["logits"], {"features": x})
    np.testing.assert_allclose(np.asarray(logits), x @ weight.T + bias, rtol=1e-5, atol=1e-6)


def test_a_classifier_on_the_class_token_alone(tmp_path):
    graph = read_graph(export(tmp_path, Style("classes"))[0])
    head = read_classifier(graph, final_norm(graph), LAST) or pytest.fail("no classifier")
    assert head.weight.shape == (7, 24)
    assert read_classifier(graph, final_norm(graph), np.arange(10)) is None


def test_tokens_as_output_need_no_host(tmp_path):
    graph = read_graph(export(tmp_path, Style("tokens"))[0])
    assert read_host(graph, "output", LAST) is None
    assert read_classifier(graph, "output", LAST) is None
