"""A float network by the name that a user gives."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.importer.options import ImportOptions
from rtl.errors import UserError

if TYPE_CHECKING:  # torch, which options do without
    from nas.importer.network import FloatNetwork

WEIGHTS = (".safetensors", ".pth", ".pt", ".bin")


def load(name: str | Path, **options: Any) -> "FloatNetwork":
    """Import a trained network.

    Parameters
    ----------
    name : str or Path
        An ONNX file; a timm model ``vit_*``, ``deit_*`` or ``deit3_*``, with a ``checkpoint``; or
        a folder with weights and configuration, as timm or transformers save a model for a hub.
    options
        Fields of :class:`nas.importer.options.ImportOptions`.

    Raises
    ------
    UserError
        If there is no such network, if its weights cannot be read or do not fit, if it has a part
        that the engine cannot run, or if more has to be said about it.
    """
    return read(str(name), ImportOptions(**options))


def read(name: str, options: ImportOptions) -> "FloatNetwork":
    """Import a trained network, as :func:`load` does."""
    from nas.importer.checks import check
    from nas.importer.transformers_folder import is_of_transformers

    path = Path(name)
    if path.suffix == ".pulsar":
        raise UserError(f"{path.name} is quantized already: give the float network it was made of")
    if path.suffix in WEIGHTS:
        raise UserError(
            f"{path.name} has weights alone: give timm's name, and --checkpoint {shlex.quote(name)}"
        )
    if path.suffix == ".onnx":
        from nas.importer.onnx_source import load_onnx  # onnx and onnxruntime

        network = load_onnx(path, options)
    elif path.is_dir() and is_of_transformers(path):
        from nas.importer.transformers_source import load_transformers

        network = load_transformers(path, options)
    else:
        from nas.importer.timm_source import load_timm  # timm

        network = load_timm(name, options)
    check(network)
    return network


def described(network: "FloatNetwork") -> Iterator[str]:
    """Yield what a user should know about a network, a line each: licence, origin, notes."""
    source = network.source
    yield f"{source.get('name')}: licence {source.get('license') or 'not stated'}"
    if origin := source.get("origin"):
        yield f"origin: {origin}"
    if note := source.get("preprocessing"):
        yield f"images: {note}"
    yield from source.get("notes", ())
