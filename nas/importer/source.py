"""A float network by the name that a user gives."""

from pathlib import Path
from typing import Any

from nas.importer.checks import check
from nas.importer.network import FloatNetwork
from nas.importer.options import ImportOptions
from rtl.errors import UserError


def load(name: str | Path, **options: Any) -> FloatNetwork:
    """Import a trained network.

    Parameters
    ----------
    name : str or Path
        An ONNX file.
    options
        Fields of :class:`nas.importer.options.ImportOptions`.

    Raises
    ------
    UserError
        If there is no such network, or it has a part that the engine cannot run.
    """
    chosen, path = ImportOptions(**options), Path(name)
    if path.suffix == ".pulsar":
        raise UserError(f"{path.name} is quantized already: give the float network it was made of")
    if path.suffix != ".onnx":
        raise UserError(f"unknown network '{name}': expected an ONNX file")
    from nas.importer.onnx_source import load_onnx  # onnx and onnxruntime

    network = load_onnx(path, chosen)
    check(network)
    return network
