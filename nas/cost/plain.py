"""Shapes of networks by name: an integer model file, or a network that can be imported.

An integer model file needs neither torch nor timm; they are imported for other networks alone.
"""

from functools import cache
from pathlib import Path

from nas.importer.options import NetworkOptions
from nas.importer.source import WEIGHTS
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model import IntegerModel, repack
from rtl.model.shape import NetworkShape

PLAIN = NetworkOptions()
FLOAT_FILES = (".onnx", *WEIGHTS)


def shape_of(
    name: str, granularity: int, bits8: float = 0.0, options: NetworkOptions = PLAIN
) -> NetworkShape:
    """Return the shape of a network.

    Parameters
    ----------
    name : str
        An integer model file; an ONNX file, or a folder with a timm model; or the name of a plain
        timm model ``vit_*``, ``deit_*`` or ``deit3_*``: ``deit_small`` is short for
        ``deit_small_patch16_224``. A name of one without a classifier gets 1,000 classes.
    granularity : int
        Rows per tile with weights of one width; smaller tiles of a file are merged.
    bits8 : float
        Fraction of 8-bit row tiles in each matrix except the patch embedding, for all but integer
        model files.
    options : NetworkOptions

    Raises
    ------
    UserError
        If there is no such model, or a part of it that the engine cannot run.
    """
    if is_file(name):
        if bits8:
            raise UserError("--w8 is for float networks: a model file has its 8-bit rows already")
        options.refuse_for(Path(name).name, "checkpoint", "classes", "image_size")
        model = load(name)
        if model.row_granularity % granularity:
            model = repack(model, granularity)
        return model.shape
    if is_float(name) or options.checkpoint:
        from nas.cost.imported import imported_shape  # torch, onnx or timm

        return imported_shape(name, granularity, bits8, options)
    from nas.cost.timm_models import timm_shape  # torch and timm

    return timm_shape(name, granularity, bits8, options)


def shape_for(
    name: str, engine: EngineConfig, bits8: float = 0.0, options: NetworkOptions = PLAIN
) -> NetworkShape:
    """Return the shape of a network in row tiles of an engine.

    Raises
    ------
    UserError
        As :func:`shape_of`, or if the model file has another ``act_bits`` than the engine.
    """
    if is_file(name) and load(name).act_bits != engine.act_bits:
        raise UserError(
            f"model has act_bits {load(name).act_bits}, engine '{engine.name}' {engine.act_bits}"
        )
    return shape_of(name, engine.row_lanes, bits8, options)


def is_file(name: str) -> bool:
    """Whether the name of a model is that of an integer model file."""
    return name.endswith(".pulsar") or (Path(name).is_file() and not is_float(name))


def is_float(name: str) -> bool:
    """Whether the name of a model is that of a float network's file or folder."""
    return Path(name).suffix in FLOAT_FILES or Path(name).is_dir()


@cache
def load(name: str) -> IntegerModel:
    """Read an integer model file, once."""
    return IntegerModel.load(Path(name))
