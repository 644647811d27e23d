"""Graphs of ONNX files: constants are folded, unreadable files are named."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.importer.onnx_graph import read_graph
from rtl.errors import UserError
from tests.nas.importer.tiny import Style, export


@pytest.fixture
def file(tmp_path):
    return export(tmp_path, Style("tokens"))[0]


def test_shapes_and_positions_are_constants(file):
    """Nodes that are left lie between image and output; positions are those of the 3 x 3 grid."""
    graph = read_graph(file)
    kinds = {node.op_type for node in graph.producers.values()}
    assert not kinds & {"Shape", "Constant", "Resize", "Expand", "ConstantOfShape"}
    assert graph.shapes[graph.image] == (1, 3, 12, 12)
    assert graph.shapes["output"] == (1, 10, 24)
    positions = [a for a in graph.constants.values() if a.shape == (1, 10, 24)]
    assert len(positions) == 1
    position = numpy_helper.to_array(
        next(each for each in graph.model.graph.initializer if each.dims == [1, 1, 24])
    )
    assert position.shape == (1, 1, 24)


def test_a_part_is_evaluated_in_float64(file):
    graph = read_graph(file)
    node = next(node for node in graph.producers.values() if node.op_type == "Softmax")
    given = np.array([[1.0, 1.0 + 1e-12]])
    found = graph.evaluate([node], {node.input[0]: given}, node.output[0])
    assert found.dtype == np.float64 and 0 < found[0, 1] - 0.5 < 1e-12


def changed(file, change):
    model = onnx.load(file)
    change(model)
    onnx.save(model, file)


def test_a_file_of_any_size_asks_for_one(file):
    def free(model):
        for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.dim_param = "side"

    changed(file, free)
    with pytest.raises(UserError, match=r"takes images of any size: give --image-size"):
        read_graph(file)
    assert read_graph(file, 12).shapes["output"] == (1, 10, 24)


def test_weights_that_are_not_finite(file):
    def spoil(model):
        weight = next(each for each in model.graph.initializer if each.name == "norm.weight")
        array = numpy_helper.to_array(weight).copy()
        array[3] = np.nan
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))

    changed(file, spoil)
    with pytest.raises(UserError, match=r"tiny.onnx: 'norm.weight' holds values that are not fin"):
        read_graph(file)


def test_a_quantized_file(file):
    def quantize(model):
        inputs = ["image", "scale"]
        model.graph.initializer.append(numpy_helper.from_array(np.ones((), np.float32), "scale"))
        model.graph.node.insert(0, helper.make_node("QuantizeLinear", inputs, ["codes"]))

    changed(file, quantize)
    with pytest.raises(UserError, match=r"tiny.onnx is quantized already: give the float network"):
        read_graph(file)


def test_weights_in_a_file_that_is_missing(file):
    model = onnx.load(file)
    onnx.save(model, file, save_as_external_data=True, location="tiny.data", size_threshold=64)
    (file.parent / "tiny.data").unlink()
    with pytest.raises(UserError, match=r"its weights are in another file, which is missing") as e:
        read_graph(file)
    assert "tiny.data" in str(e.value) and "valid" not in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    "opset, bound", [(8, "the least that is read is 9"), (999, "the newest that onnx")]
)
def test_operators_of_an_opset_that_is_not_read(file, opset, bound):
    def stamp(model):
        model.opset_import[0].version = opset

    changed(file, stamp)
    said = rf"^tiny.onnx has operators of opset {opset}: {bound}.*: export it again, with torch by"
    with pytest.raises(UserError, match=said) as error:
        read_graph(file)
    assert "opset_version=18" in str(error.value) and "\n" not in str(error.value)


def test_several_inputs(file):
    extra = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1])
    changed(file, lambda model: model.graph.input.append(extra))
    with pytest.raises(UserError, match=r"expected one input, an image, found 2: image, mask"):
        read_graph(file)


def test_another_input_shape(file):
    def flatten(model):
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2

    changed(file, flatten)
    with pytest.raises(UserError, match=r"input 'image' must be .batch, 1 or 3, height, width."):
        read_graph(file)


@pytest.mark.parametrize("content", [b"no graph", b""])
def test_other_files(tmp_path, content):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other.onnx: ") as error:
        read_graph(path)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match=r"no such file"):
        read_graph(path)
