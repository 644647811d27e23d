"""Shapes of networks by name: an integer model file, or one of timm's plain vision transformers.

A file needs neither torch nor timm; they are imported for the names of timm's models alone.
"""

from functools import cache
from pathlib import Path

from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model import IntegerModel, repack
from rtl.model.shape import NetworkShape


def shape_of(name: str, granularity: int, bits8: float = 0.0) -> NetworkShape:
    """Return the shape of a network.

    Parameters
    ----------
    name : str
        An integer model file, or the name of a plain timm model ``vit_*`` or ``deit_*``;
        ``deit_small`` is short for ``deit_small_patch16_224``. One without a classifier gets 1,000
        classes.
    granularity : int
        Rows per tile with weights of one width; smaller tiles of a file are merged.
    bits8 : float
        Fraction of 8-bit row tiles in each matrix except the patch embedding, for timm's models.

    Raises
    ------
    UserError
        If there is no such model, or a part of it that the engine cannot run.
    """
    if is_file(name):
        if bits8:
            raise UserError("--w8 is for timm's models: a file has its 8-bit rows already")
        model = load(name)
        if model.row_granularity % granularity:
            model = repack(model, granularity)
        return model.shape
    from nas.cost.timm_models import timm_shape  # torch and timm

    return timm_shape(name, granularity, bits8)


def shape_for(name: str, engine: EngineConfig, bits8: float = 0.0) -> NetworkShape:
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
    return shape_of(name, engine.row_lanes, bits8)


def is_file(name: str) -> bool:
    """Whether the name of a model is that of an integer model file."""
    return name.endswith(".pulsar") or Path(name).is_file()


@cache
def load(name: str) -> IntegerModel:
    """Read an integer model file, once."""
    return IntegerModel.load(Path(name))
