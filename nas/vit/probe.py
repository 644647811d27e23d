"""A classifier on the network's features: how many points does quantization cost?

A linear probe, fitted to the float network's features of handwritten digits, reads those of the
integer models: the class token behind the final LayerNorm, standardised, into a logistic
regression. The probe itself stays in floating point.
"""

from dataclasses import replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from boards.host.features import features
from nas.importer.forward import features as float_features
from nas.importer.forward import forward
from nas.importer.network import FloatNetwork, converted
from nas.numerics.integer import IntegerNetwork
from nas.vit.digits import DigitSets, RowAccuracy, prepared, write_pictures
from nas.vit.example import Example
from nas.vit.rows import Row
from rtl.model import Features, IntegerModel

IMAGE = 112
"""Pixels of height and width: 65 tokens."""
STRENGTH = 0.1
"""Inverse of the regularisation, scikit-learn's ``C``."""
ITERATIONS = 1000
BATCH = 32


def probe_example(example: Example, digits: DigitSets, image: int = IMAGE) -> Example:
    """Return the same network for smaller images, with digits to calibrate it."""
    folder = example.folder / "probe"
    pictures = write_pictures(folder / "calibration", digits.calibration)
    options = example.options | {"image_size": image}
    return replace(example, folder=folder, calibration=pictures, test=(), options=options)


def measure(
    example: Example, digits: DigitSets, rows: tuple[Row, ...]
) -> tuple[float, list[RowAccuracy]]:
    """Measure the float network's accuracy, and that of each row.

    Parameters
    ----------
    example : Example
        As :func:`probe_example` makes it.
    digits : DigitSets
    rows : tuple of Row
    """
    counts = [len(digits.fit), len(digits.test)]
    labels = digits.test.labels
    probe = example.once("linear probe", counts, lambda: fit(example.network, digits))
    found = []
    for row in rows:
        made = example.make(row)

        def answers(model: IntegerModel = made.model) -> list[int]:
            images = prepared(digits.test, example.network)
            return answer(probe, integer_features(model, images)[:, -1])

        given = example.once(f"probe on {row.name}", [made.model.hash, *counts], answers)
        found.append(RowAccuracy.of(row.name, given, probe["answers"], labels))
    return float((np.asarray(probe["answers"]) == labels.numpy()).mean()), found


def fit(network: FloatNetwork, digits: DigitSets) -> dict[str, list]:
    """Fit the probe: its ``weight`` and ``bias``, and its ``answers`` to the test digits."""
    seen = float_features_of(network, prepared(digits.fit, network))[:, -1]
    scaler = StandardScaler()
    classifier = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
    make_pipeline(scaler, classifier).fit(seen, digits.fit.labels.numpy())
    weight = classifier.coef_ / scaler.scale_
    bias = classifier.intercept_ - weight @ scaler.mean_
    probe = {"weight": weight.tolist(), "bias": bias.tolist()}
    test = float_features_of(network, prepared(digits.test, network))[:, -1]
    return probe | {"answers": answer(probe, test)}


def answer(probe: dict[str, list], found: np.ndarray) -> list[int]:
    """Classify features of class tokens, (images, width)."""
    scores = found.astype(np.float64) @ np.asarray(probe["weight"]).T + np.asarray(probe["bias"])
    return scores.argmax(1).tolist()


@torch.no_grad()
def float_features_of(network: FloatNetwork, images: Tensor) -> np.ndarray:
    """Compute features in floating point: (images, tokens, width) float32, class tokens last."""
    single = converted(network, torch.float32)
    chunks = images.split(BATCH)
    return torch.cat([float_features(single, forward(single, chunk)) for chunk in chunks]).numpy()


def integer_features(model: IntegerModel, images: Tensor) -> np.ndarray:
    """Compute the same of an integer model."""
    assert isinstance(model.output, Features)
    network, parts = IntegerNetwork(model), []
    for chunk in images.split(BATCH):
        tokens = network.run(chunk).numpy()
        parts.append(features(model.output, tokens, model.shape.patches))
    return np.concatenate(parts)
