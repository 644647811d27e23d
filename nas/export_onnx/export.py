"""The ONNX file of an integer model: graph, metadata, checks."""

from onnx import ModelProto, checker, helper

from nas.export_onnx.network import NetworkWriter
from nas.producer import producer
from rtl.errors import UserError
from rtl.model import IntegerModel
from rtl.model.file import HEADER, canonical_json

OPSET = 18
"""Version of the operator set: the first in which every reduction takes its axes as an input."""
IR_VERSION = 8
"""Version of the file's format, of the same year: what reads the opset reads it."""
MOST_BYTES = 2**31 - 1  # of one file, by protobuf


def export(model: IntegerModel, *, taps: bool = False) -> bytes:
    """Return a model as an ONNX file, equal to the byte for equal models.

    Parameters
    ----------
    model : IntegerModel
    taps : bool
        Whether every tensor of docs/numerics.md, section 8, is an output, and not the last alone.

    Raises
    ------
    UserError
        If it is larger than a file of this kind can be.
    """
    graph = to_graph(model, taps=taps)
    if graph.ByteSize() > MOST_BYTES:
        raise UserError(
            f"{graph.ByteSize():,} bytes: an ONNX file has at most {MOST_BYTES:,}; this network"
            " cannot be exported"
        )
    checker.check_model(graph, full_check=True)
    return graph.SerializeToString(deterministic=True)


def to_graph(model: IntegerModel, *, taps: bool = False) -> ModelProto:
    """Return a model as ONNX's classes; its parameters are those of :func:`export`."""
    network = NetworkWriter(model)
    graph = network.graph
    names = [name for name in graph.taps if taps or name in network.outputs]
    name, _, version = producer().partition(" ")
    found = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "integer model",
            [network.input.info()],
            [graph.taps[each].info() for each in names],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=name,
        producer_version=version,
    )
    # As in the model's file: preprocessing, names of classes, scale of the output.
    header = canonical_json({**model.header(), "hash": model.hash})
    helper.set_model_props(found, {"hash": model.hash, HEADER: header})
    return found
