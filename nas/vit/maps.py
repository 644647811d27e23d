"""Saliency maps of final tokens, and how close an integer model is to its float network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from boards.host.features import features
from nas.importer.forward import features as float_features
from nas.importer.forward import forward
from nas.importer.network import FloatNetwork, converted
from nas.numerics.integer import IntegerNetwork
from rtl.model import Features, IntegerModel
from sim.host import load_host

BATCH = 8
"""Images at a time in floating point."""


@dataclass(frozen=True)
class Closeness:
    """Distance of final tokens, and of the maps made of them, from those of the float network.

    Parameters
    ----------
    cos : float
        Mean cosine over all patch tokens.
    corr : float
        Pearson correlation of the maps' values, image by image, then the mean.
    rel : float
        Length of the difference of all final tokens, relative to that of the float network's.
    """

    cos: float
    corr: float
    rel: float

    @classmethod
    def of(cls, found: "Tokens", expected: "Tokens") -> "Closeness":
        """Compare the integer model's tokens and maps with the float network's."""
        a = found.patches.reshape(-1, found.features.shape[-1]).astype(np.float64)
        b = expected.patches.reshape(a.shape).astype(np.float64)
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosines = (a * b).sum(1) / lengths
        difference = found.features.astype(np.float64) - expected.features
        pairs = zip(found.maps, expected.maps, strict=True)
        corr = [float(np.corrcoef(x.ravel(), y.ravel())[0, 1]) for x, y in pairs]
        return cls(
            cos=float(cosines.mean()),
            corr=float(np.mean(corr)),
            rel=float(np.linalg.norm(difference) / np.linalg.norm(expected.features)),
        )


@dataclass(frozen=True, eq=False)
class Tokens:
    """Final tokens of images, behind the final LayerNorm, and their maps.

    Parameters
    ----------
    features : (images, tokens, width) float32
        Patches first.
    maps : (images, height, width) float32
    count : int
        Patches of an image.
    """

    features: np.ndarray
    maps: np.ndarray
    count: int

    @property
    def patches(self) -> np.ndarray:
        return self.features[:, : self.count]


def decode(host: bytes, found: np.ndarray) -> np.ndarray:
    """Make maps of final tokens by the part of the source network that follows them.

    Parameters
    ----------
    host : bytes
        As :class:`nas.importer.network.FloatNetwork` has it.
    found : (images, tokens, width) float32

    Returns
    -------
    (images, height, width) float32
    """
    run = load_host(host, "the host network")
    assert run is not None
    maps = (next(iter(run(one[None]).values())) for one in found)  # one by one, for the memory
    return np.stack([one.reshape(one.shape[-2:]) for one in maps])


@torch.no_grad()
def float_tokens(network: FloatNetwork, images: Tensor) -> Tokens:
    """Compute the final tokens and maps of the float network, in float32.

    Parameters
    ----------
    network : FloatNetwork
        With a host network.
    images : (images, height, width, channels) uint8
    """
    assert network.host is not None
    single = converted(network, torch.float32)
    parts = [float_features(single, forward(single, chunk)) for chunk in images.split(BATCH)]
    found = torch.cat(parts).numpy()
    return Tokens(found, decode(network.host, found), network.patches)


def integer_tokens(model: IntegerModel, host: bytes, images: Tensor) -> Tokens:
    """Compute the final tokens and maps of an integer model, which golden equals."""
    residual = IntegerNetwork(model).run(images).numpy()
    return tokens_of(model, host, residual)


def tokens_of(model: IntegerModel, host: bytes, residual: np.ndarray) -> Tokens:
    """Make final tokens and maps of residual words, (images, tokens, width)."""
    assert isinstance(model.output, Features)
    found = features(model.output, residual, model.shape.patches)
    return Tokens(found, decode(host, found), model.shape.patches)


@torch.no_grad()
def import_error(source: Path, network: FloatNetwork, images: Tensor) -> float:
    """Return the largest difference of final tokens between the source file and the import.

    Parameters
    ----------
    source : Path
        The ONNX file, run by ONNX Runtime in float32.
    network : FloatNetwork
        As imported from it, run in float64.
    images : (images, height, width, channels) uint8
    """
    assert network.host is not None
    host = onnx.load_model_from_string(network.host).graph
    reorder = host.node[0]
    (name,) = reorder.output  # of the final tokens, the same as in the source
    constants = {each.name: each for each in host.initializer}
    order = onnx.numpy_helper.to_array(constants[reorder.input[1]])
    model = onnx.load(source)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    whole = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    largest = 0.0
    for image in images.split(1):
        pixels = (image.double() / 255 - network.mean) / network.std
        given = pixels.permute(0, 3, 1, 2).float().numpy()
        (expected,) = whole.run([name], {whole.get_inputs()[0].name: given})
        found = float_features(network, forward(network, image)).numpy()
        largest = max(largest, float(np.abs(found[:, order] - np.asarray(expected)).max()))
    return largest
