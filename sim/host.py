"""The network behind the features, on the host: an ONNX file that onnxruntime runs.

Source: docs/format.md, section Features.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rtl.errors import UserError
from rtl.model import HostNetwork

Host = Callable[[np.ndarray], dict[str, np.ndarray]]
"""From features to the outputs of the source network, by name."""


def open_host(model: Path, host: HostNetwork) -> Host | None:
    """Open the host network beside a model's file; None without onnxruntime.

    Parameters
    ----------
    model : Path
        The integer model's file.
    host : HostNetwork

    Raises
    ------
    UserError
        If the file is missing, is not the one that the model was made with, or cannot be run.
    """
    path = model.parent / host.file
    if not path.is_file():
        raise UserError(f"{path}: no such file: the host network of {model.name} belongs beside it")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != host.sha256:
        raise UserError(
            f"{path} is not the host network of {model.name}: its SHA-256 is {found[:12]}…,"
            f" not {host.sha256[:12]}…"
        )
    return load_host(content, str(path))


def load_host(content: bytes, name: str) -> Host | None:
    """Load an ONNX file with features as its one input; None without onnxruntime.

    Parameters
    ----------
    content : bytes
    name : str
        Of the file, in messages.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return None
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's classes are not public
        raise UserError(f"{name}: onnxruntime refuses it: {_first_line(error)}") from None
    inputs = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    if len(inputs) != 1:
        raise UserError(f"{name} has {len(inputs)} inputs, a host network has one: the features")

    batch = session.get_inputs()[0].shape[:1]  # a number in files that are for so many images

    def run(features: np.ndarray) -> dict[str, np.ndarray]:
        features = features.astype(np.float32, copy=False)
        parts = [features]
        if batch == [1]:
            parts = np.split(features, len(features))
        try:
            found = [session.run(outputs, {inputs[0]: part}) for part in parts]
        except Exception as error:  # onnxruntime's classes are not public
            raise UserError(
                f"{name} does not take features of {features.shape}: {_first_line(error)}"
            ) from None
        values = map(np.concatenate, zip(*found, strict=True)) if len(found) > 1 else found[0]
        return dict(zip(outputs, map(np.asarray, values), strict=True))

    return run


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
