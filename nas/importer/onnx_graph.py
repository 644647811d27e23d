"""The graph of an ONNX file, for one image at a time: what is constant is folded.

Shapes that the graph computes itself (``Shape``, then ``Gather``, ``Concat``, ...) are constants
once the batch is one image. So are positions that it resizes to its own grid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nas.importer.onnx_attention import expand_attention
from nas.importer.onnx_simplify import simplify
from rtl.errors import UserError

PASSING = ("Identity", "Dropout")
"""Kinds of nodes whose first output is their first input."""

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)

OLDEST_OPSET = 9
"""The first in which shapes that a graph computes can be folded (ConstantOfShape, Where)."""
GOOD_OPSET = 18
"""One that both of torch's exporters write."""


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A folded graph: constants, and the nodes between the image and the outputs.

    Parameters
    ----------
    file : str
        Named in errors.
    model : onnx.ModelProto
        As it was read, without nodes that change nothing.
    image : str
        The input.
    constants : dict of str to ndarray
    shapes : dict of str to tuple of int
        Of everything that depends on the image, with a batch of 1.
    producers : dict of str to NodeProto
        The node behind each value that depends on the image.
    """

    file: str
    model: ModelProto
    image: str
    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]
    producers: dict[str, NodeProto]

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.model.graph.output)

    def source(self, name: str) -> str:
        """Return the value behind casts and other nodes that pass it on unchanged."""
        while node := self.producers.get(name):
            if not passes(node):
                break
            name = node.input[0]
        return name

    def node(self, name: str, *kinds: str) -> NodeProto | None:
        """Return the node that makes a value, if it is one of these kinds."""
        node = self.producers.get(self.source(name))
        return node if node and node.op_type in kinds else None

    def consumers(self, name: str, *kinds: str) -> Iterator[NodeProto]:
        """Yield the nodes of these kinds that read a value, in the order of the file."""
        for node in self.model.graph.node:
            if node.op_type in kinds and any(self.source(each) == name for each in node.input):
                if node.output[0] in self.producers:
                    yield node

    def split(self, node: NodeProto) -> tuple[str, np.ndarray] | None:
        """Return the value and the constant that a node of two inputs takes, in either order."""
        first, second = node.input[:2]
        if second in self.constants and first not in self.constants:
            return self.source(first), self.constants[second]
        if first in self.constants and second not in self.constants:
            return self.source(second), self.constants[first]
        return None

    def refuse(self, name: str, expected: str) -> UserError:
        """Return the error about a node that is not what is expected, or cannot be run."""
        node = self.producers.get(self.source(name))
        if node is None:
            return UserError(f"{self.file}: expected {expected}, found the input '{self.image}'")
        path = node.name or node.output[0]
        return UserError(f"{self.file}: unsupported node {path} ({node.op_type}): not {expected}")

    def evaluate(
        self, nodes: Sequence[NodeProto], given: dict[str, np.ndarray], output: str
    ) -> np.ndarray:
        """Compute a value from others in float64.

        Parameters
        ----------
        nodes : sequence of NodeProto
            Those between the given values and the output, in the order of the file.
        given : dict of str to ndarray
        output : str
        """
        read = {name for node in nodes for name in node.input}
        constants = [
            numpy_helper.from_array(_double(self.constants[name]), name)
            for name in sorted(read & self.constants.keys())
        ]
        inputs = [helper.make_empty_tensor_value_info(name) for name in given]
        outputs = [helper.make_empty_tensor_value_info(output)]
        graph = helper.make_graph(list(nodes), "part", inputs, outputs, constants)
        part = helper.make_model(graph, opset_imports=self.model.opset_import)
        (found,) = ReferenceEvaluator(part).run(None, given)  # pyright: ignore
        return np.asarray(found)


def passes(node: NodeProto) -> bool:
    """Whether a node passes its input on: a cast between floats, an identity."""
    return node.op_type in PASSING or (node.op_type == "Cast" and attribute(node, "to") in FLOATS)


def attribute(node: NodeProto, name: str, default: object = None) -> object:
    """Return an attribute of a node."""
    for each in node.attribute:
        if each.name == name:
            return helper.get_attribute_value(each)
    return default


def read_graph(path: Path, image_size: int | None = None) -> OnnxGraph:
    """Read an ONNX file with one image as its input, and fold its constants.

    Parameters
    ----------
    path : Path
    image_size : int, optional
        Height and width, for a file that takes images of any size.

    Raises
    ------
    UserError
        If the file cannot be read, is quantized, has values that are not finite, or does not take
        one image.
    """
    model = _read(path)
    if any("Quantize" in node.op_type or "Integer" in node.op_type for node in model.graph.node):
        raise UserError(f"{path.name} is quantized already: give the float network")
    image, shape = _image_of(model, path.name, image_size)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for name, array in constants.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{path.name}: '{name}' holds values that are not finite")
    folded, varying = _partition(model, constants)
    names = [name for node in varying for name in node.output if name]
    images = {image: np.zeros(shape, np.float32)}
    found, shapes = _run(path, model, images, sorted(folded), names)
    constants, shapes = constants | found, shapes | {image: shape}
    simplify(model, constants, shapes)
    made = {name: node for node in model.graph.node for name in node.output}
    producers = {name: made[name] for name in made if name in shapes}
    return OnnxGraph(path.name, model, image, constants, shapes, producers)


def _read(path: Path) -> ModelProto:
    try:
        model = onnx.load(path)
        _check_opset(model, path.name)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        onnx.checker.check_model(model)
    except UserError:
        raise
    except (onnx.checker.ValidationError, FileNotFoundError) as error:
        if not path.is_file():
            raise UserError(f"{path}: no such file") from None
        reason = str(error).partition("\n")[0]
        if "should be stored in" in reason:
            raise UserError(
                f"{path.name}: its weights are in another file, which is missing: put it beside it"
                f" ({reason})"
            ) from None
        raise UserError(f"{path.name}: not a valid ONNX file: {reason}") from None
    except Exception as error:  # protobuf's, whose classes differ between its versions
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path.name}: cannot be read as ONNX: {reason}") from None
    expand_attention(model)
    return model


def _check_opset(model: ModelProto, file: str) -> None:
    """Refuse operators of a version that is too old, or not known yet."""
    newest = onnx.defs.onnx_opset_version()
    # Without any opset it is no model, which the checker says.
    found = max((each.version for each in model.opset_import if not each.domain), default=newest)
    if not OLDEST_OPSET <= found <= newest:
        bound = f"the least that is read is {OLDEST_OPSET}"
        if found > newest:
            bound = f"the newest that onnx {onnx.__version__} knows is {newest}"
        raise UserError(
            f"{file} has operators of opset {found}: {bound}: export it again, with torch by"
            f" torch.onnx.export(..., opset_version={GOOD_OPSET})"
        )


def _image_of(
    model: ModelProto, file: str, image_size: int | None
) -> tuple[str, tuple[int, int, int, int]]:
    """Return the name and the shape, (1, channels, height, width), of the one input."""
    weights = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise UserError(f"{file}: expected one input, an image, found {len(inputs)}: {names}")
    sizes = [each.dim_value for each in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4 or sizes[1] not in (1, 3):
        raise UserError(
            f"{file}: input '{inputs[0].name}' must be (batch, 1 or 3, height, width), not {sizes}"
        )
    if sizes[0] > 1:
        raise UserError(
            f"{file} takes {sizes[0]} images at a time: export it for one, or for any number"
        )
    if image_size is None and not (sizes[2] and sizes[3]):
        raise UserError(f"{file} takes images of any size: give --image-size")
    height, width = sizes[2] or image_size or 0, sizes[3] or image_size or 0
    return inputs[0].name, (1, sizes[1], height, width)


def _partition(
    model: ModelProto, constants: dict[str, np.ndarray]
) -> tuple[set[str], list[NodeProto]]:
    """Return the names of constants that are computed, and the nodes that are not constant."""
    known, folded, varying = {"", *constants}, set(), []
    for node in model.graph.node:
        fixed = bool(node.input) and known.issuperset(node.input)
        if fixed or node.op_type in ("Shape", "Size", "Constant"):
            folded.update(filter(None, node.output))
            known.update(node.output)
        else:
            varying.append(node)
    return folded, varying


def _run(
    path: Path,
    model: ModelProto,
    images: dict[str, np.ndarray],
    wanted: list[str],
    varying: list[str],
) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """Run the file once; return values by name, and the shapes of others."""
    probe = ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    sizes = {name: f"{name}::shape" for name in varying}
    probe.graph.node.extend(helper.make_node("Shape", [k], [v]) for k, v in sizes.items())
    names = [*wanted, *sizes.values()]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    # Unoptimized: an optimizer would remove values that are asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = dict(zip(names, session.run(names, images), strict=True))
    except Exception as error:  # onnxruntime's classes are not public
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path.name}: ONNX Runtime cannot run it: {reason}") from None
    shapes = {name: tuple(map(int, found[size])) for name, size in sizes.items()}  # pyright: ignore
    return {name: np.asarray(found[name]) for name in wanted}, shapes


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
