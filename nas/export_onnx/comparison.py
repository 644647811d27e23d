"""onnxruntime beside golden: an exported file on images, code by code."""

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import onnxruntime

from boards.host.features import features
from nas.export_onnx.network import FEATURES, IMAGES, INDICES
from rtl.errors import ToolError
from rtl.model import Features, IntegerModel
from rtl.model.keep import original_tokens
from sim import golden

FEATURE_TOLERANCE = 1e-5  # of the largest feature: sums in floating point depend on their order


@dataclass
class CodeComparison:
    """Codes that were compared, all of them equal.

    Parameters
    ----------
    images, codes : int
    seconds : float
        That onnxruntime took.
    """

    images: int = 0
    codes: int = 0
    seconds: float = 0.0


def compare(content: bytes, model: IntegerModel, images: Iterable[np.ndarray]) -> CodeComparison:
    """Run a file of :func:`nas.export_onnx.export.export` and golden on images, one at a time.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    model : IntegerModel
        Of which it was made.
    images : iterable of (height, width, channels) uint8

    Raises
    ------
    ToolError
        If onnxruntime refuses the file, or any code differs; names the first such tensor.
    """
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's classes are not public
        raise ToolError(f"onnxruntime refuses the file: {str(error).splitlines()[0]}") from None
    names = [each.name for each in session.get_outputs()]
    done = CodeComparison()
    for number, image in enumerate(images, 1):
        began = perf_counter()
        outputs = session.run(names, {IMAGES: image[None]})
        done.seconds += perf_counter() - began
        found = dict(zip(names, map(np.asarray, outputs), strict=True))
        done.codes += _compare_image(model, image[None], found, number)
        done.images = number
    return done


def _compare_image(
    model: IntegerModel, image: np.ndarray, found: dict[str, np.ndarray], number: int
) -> int:
    """Return how many codes were compared."""
    expected: dict[str, np.ndarray] = {}
    output = golden.run(model, image, tensors=expected)
    if INDICES in found:
        expected[INDICES] = original_tokens(expected, model.shape, len(model.blocks))
    codes = 0
    for name, tensor in expected.items():
        if name not in found:
            continue
        if tensor.shape != found[name].shape:
            raise ToolError(f"image {number}: {name} has shape {found[name].shape}")
        if wrong := int((tensor != found[name]).sum()):
            raise ToolError(
                f"image {number}: {wrong:,} of {tensor.size:,} codes of {name} differ from golden"
            )
        codes += tensor.size
    if isinstance(model.output, Features):
        exact = features(model.output, output, model.shape.patches)
        off = float(np.abs(exact - found[FEATURES]).max())
        if not off <= FEATURE_TOLERANCE * float(np.abs(exact).max()):
            raise ToolError(f"image {number}: features differ by up to {off:g}")
    return codes
