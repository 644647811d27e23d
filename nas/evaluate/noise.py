"""Noise of every operation: alone, and of all but it.

The integer model is rebuilt in floating point, where each kind of rounding can be left out. Noise
is the length of what rounding changes in the logits or features, relative to the float network's.
Rounded weights and the patch embedding are sources beside :data:`nas.quantize.codes.KINDS`. Where
tokens are selected, those of the quantized network stay in all ways.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.evaluate.answers import result
from nas.importer.forward import Tap, look
from nas.importer.network import FloatNetwork, converted
from nas.importer.selection import noting, on_tokens
from nas.quantize.arrange import folded
from nas.quantize.codes import KINDS
from nas.quantize.method import Method
from nas.quantize.rebuild import rebuilt, rotation_of
from rtl.model import IntegerModel

WEIGHTS, EMBEDDING = "weights", "embedding"
SOURCES = (WEIGHTS, EMBEDDING, *KINDS)

Pair = tuple[str, str]
"""Names of two networks, whose results' difference is a noise."""


@dataclass(frozen=True)
class SourceNoise:
    """Noise of one source.

    Parameters
    ----------
    source : str
        One of :data:`SOURCES`.
    alone : float
        Noise where nothing else is rounded; of an activation, with the rounded weights.
    without : float
        Noise of everything but this source.
    agreement_alone, agreement_without : float, optional
        Share of images whose first class is the one without that noise.
    """

    source: str
    alone: float
    without: float
    agreement_alone: float | None = None
    agreement_without: float | None = None


@dataclass(frozen=True)
class NoiseBudget:
    """Noise of all sources.

    Parameters
    ----------
    images : int
    total : float
        Noise of all together.
    agreement : float, optional
    sources : tuple of SourceNoise
    """

    images: int
    total: float
    agreement: float | None
    sources: tuple[SourceNoise, ...]

    @property
    def root_of_squares(self) -> float:
        """Noise of all together if that of each source had nothing to do with the others'."""
        return sum(source.alone**2 for source in self.sources) ** 0.5

    def report(self) -> dict[str, Any]:
        """Return all figures, as they are written to JSON."""
        return {
            "images": self.images,
            "total": self.total,
            "agreement": self.agreement,
            "root_of_squares": self.root_of_squares,
            "sources": [vars(source) for source in self.sources],
        }


class NoiseMeter:
    """Measures the noise of an integer model's operations.

    Parameters
    ----------
    model : IntegerModel
        Made by post-training quantization.
    network : FloatNetwork
        The one that it was made of, in float64.

    Raises
    ------
    UserError
        If the model does not say what its codes stand for.
    """

    def __init__(self, model: IntegerModel, network: FloatNetwork) -> None:
        rotation = rotation_of(model)
        exact = folded(network, Method(rotate=rotation is not None, seed=rotation or 0))
        self.exact = converted(exact, torch.float32)
        quantized = rebuilt(model)
        self.rounded, self.codes = quantized.network, quantized.codes
        self.classifier = network.head is not None

    def measure(self, batches: Iterable[Tensor]) -> NoiseBudget:
        """Measure on images, (batch, height, width, channels) uint8 each time."""
        squares = dict.fromkeys(_pairs(), 0.0)
        agreeing = dict.fromkeys(_pairs(), 0)
        length, images = 0.0, 0
        for batch in batches:
            results = self._results(batch)
            images += len(batch)
            length += float(results["exact"].square().sum())
            for pair in squares:
                one, other = (results[name] for name in pair)
                squares[pair] += float((one - other).square().sum())
                if self.classifier:
                    agreeing[pair] += int((one.argmax(1) == other.argmax(1)).sum())

        def noise(pair: Pair) -> float:
            return float(np.sqrt(squares[pair] / length))

        def agreement(pair: Pair) -> float | None:
            return agreeing[pair] / images if self.classifier else None

        sources = tuple(
            SourceNoise(source, noise(alone), noise(rest), agreement(alone), agreement(rest))
            for source, (alone, rest) in PAIRS.items()
        )
        return NoiseBudget(images, noise(TOTAL), agreement(TOTAL), sources)

    def _results(self, images: Tensor) -> dict[str, Tensor]:
        """Compute logits or features in every way that :data:`PAIRS` names."""
        exact, rounded, codes = self.exact, self.rounded, self.codes
        kept: dict[str, Tensor] = {}
        everything = result(rounded, images, noting(kept, codes.tap()))

        def computed(network: FloatNetwork, tap: Tap = look) -> Tensor:
            return result(network, images, on_tokens(kept, tap))

        # A rounded network whose patch embedding is not.
        blocks = replace(rounded, embed=exact.embed, position=exact.position)
        only = replace(exact, embed=rounded.embed, position=rounded.position)
        found = {
            "exact": computed(exact),
            "only the embedding": computed(only),
            "blocks": computed(blocks),
            "blocks, codes": computed(blocks, codes.tap()),
            "weights": computed(rounded),
            "all": everything,
        }
        for kind in KINDS:
            rest = (other for other in KINDS if other != kind)
            found[f"weights, {kind}"] = computed(rounded, codes.tap([kind]))
            found[f"all but {kind}"] = computed(rounded, codes.tap(rest))
        return {name: tensor.double() for name, tensor in found.items()}


TOTAL: Pair = ("all", "exact")
PAIRS: dict[str, tuple[Pair, Pair]] = {
    WEIGHTS: (("blocks", "exact"), ("all", "blocks")),
    EMBEDDING: (("only the embedding", "exact"), ("blocks, codes", "exact")),
    **{kind: ((f"weights, {kind}", "weights"), (f"all but {kind}", "exact")) for kind in KINDS},
}
"""Networks whose difference is the noise of a source alone, and of all but it."""


def _pairs() -> list[Pair]:
    return [TOTAL, *(pair for both in PAIRS.values() for pair in both)]
