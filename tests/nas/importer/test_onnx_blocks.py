"""Blocks of an ONNX graph: whatever the engine cannot run is refused with its path."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from nas.importer.onnx_blocks import read_blocks, read_final_norm, read_stem
from nas.importer.onnx_graph import read_graph
from rtl.errors import UserError
from tests.nas.importer.tiny import Style, export


def blocks_of(path):
    graph = read_graph(path)
    stem, stream = read_stem(graph)
    return stem, *read_blocks(graph, stream), graph


def test_the_order_of_tokens(tmp_path):
    stem, blocks, stream, graph = blocks_of(export(tmp_path, Style("tokens", registers=2))[0])
    assert stem.order.tolist() == [*range(3, 12), 1, 2, 0]
    assert (stem.patch, stem.patches, stem.position.shape) == (4, 9, (12, 24))
    assert (len(blocks), blocks[0].heads) == (2, 3)
    assert read_final_norm(graph, stream)[1] == "output"


@pytest.mark.parametrize(
    "style, message",
    [
        (Style("tokens", nn.ReLU()), "/blocks.0/activation/Relu .Relu.: not one of the kinds"),
        (Style("tokens", softmax=False), "MatMul.: not attention: a product of softmax"),
        (Style("tokens", before=lambda width: nn.Linear(width, width)), "/before/"),
    ],
)
def test_unsupported_nodes(tmp_path, style, message):
    path, _ = export(tmp_path, style)
    with pytest.raises(UserError, match=message) as error:
        blocks_of(path)
    assert str(error.value).startswith("tiny.onnx: unsupported node /")


def altered(path, kind, change):
    """Change the first node of a kind."""
    model = onnx.load(path)
    change(next(node for node in model.graph.node if node.op_type == kind), model)
    onnx.save(model, path)
    return path


def test_padded_patches_are_refused(tmp_path):
    def pad(conv, model):
        pads = next(each for each in conv.attribute if each.name == "pads")
        pads.ints[:] = [0, 0, 2, 2]

    path = altered(export(tmp_path, Style("tokens"))[0], "Conv", pad)
    with pytest.raises(UserError, match=r"Conv.: not a convolution of square patches side by side"):
        blocks_of(path)


def test_a_softmax_over_queries_is_refused(tmp_path):
    def turn(softmax, model):
        softmax.attribute[0].i = -2

    path = altered(export(tmp_path, Style("tokens"))[0], "Softmax", turn)
    with pytest.raises(UserError, match=r"Softmax.: not a softmax over the keys"):
        blocks_of(path)


def test_another_scale_of_the_scores_is_in_q(tmp_path):
    """Scores three times as large: Q is."""
    path, _ = export(tmp_path, Style("tokens"))
    _, (before, *_), *_ = blocks_of(path)
    model = onnx.load(path)
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    place = list(model.graph.node).index(softmax)
    three = numpy_helper.from_array(np.array(3, np.float32), "three")
    model.graph.initializer.append(three)
    more = onnx.helper.make_node("Mul", [softmax.input[0], "three"], ["scaled"], "/scaled")
    softmax.input[0] = "scaled"
    model.graph.node.insert(place, more)
    onnx.save(model, path)
    _, (after, _), *_ = blocks_of(path)
    assert np.allclose(after.q.weight, 3 * before.q.weight, rtol=1e-6)
    assert (after.k.weight == before.k.weight).all()
