"""The linear probe: scikit-learn's, folded into one matrix, on float and integer features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from nas.vit import probe
from nas.vit.digits import DigitSets, prepared
from nas.vit.rows import RowJob
from tests.nas.vit.conftest import W8A6

IMAGE = 12


@pytest.fixture(scope="module")
def digits() -> DigitSets:
    return DigitSets.load(fit=60, test=30)


def test_the_probe_is_scikit_learns(made, digits):
    network = made[0].network
    found = probe.fit(network, digits)
    seen, test = (
        probe.float_features_of(network, prepared(part, network))[:, -1]
        for part in (digits.fit, digits.test)
    )
    scaler = StandardScaler().fit(seen)
    classifier = LogisticRegression(C=0.1, max_iter=1000)
    classifier.fit(scaler.transform(seen), digits.fit.labels.numpy())
    assert found["answers"] == classifier.predict(scaler.transform(test)).tolist()
    assert len(set(found["answers"])) > 3


def test_integer_features_are_near_the_floats(made):
    example, row = made
    images = example.test_images
    expected = probe.float_features_of(example.network, images)
    found = probe.integer_features(row.model, images)
    assert found.shape == expected.shape == (3, example.network.tokens, 24)
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_rows_are_measured_beside_the_float_network(fresh, digits, monkeypatch):
    monkeypatch.setattr(RowJob, "run", RowJob.here)
    example = probe.probe_example(fresh, digits, IMAGE)
    assert len(example.calibration) == 64 and example.options["image_size"] == IMAGE
    accuracy, rows = probe.measure(example, digits, (W8A6,))
    assert [row.name for row in rows] == ["w8a6"] and rows[0].agreement > 0.8
    assert rows[0].accuracy == pytest.approx(accuracy + rows[0].difference / 100)
    assert probe.measure(probe.probe_example(fresh, digits, IMAGE), digits, (W8A6,))[1] == rows
