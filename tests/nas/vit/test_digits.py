"""Digits: apart from each other, written as pictures, and compared in pairs."""

import numpy as np
import pytest
import torch
from PIL import Image

from nas.digits import digit_images, digit_split
from nas.vit.digits import CALIBRATE, FIT, DigitSets, RowAccuracy, prepared, write_pictures


def test_no_digit_is_in_two_sets():
    sets = DigitSets.load()
    assert [len(sets.fit), len(sets.calibration), len(sets.test)] == [FIT, CALIBRATE, 1000]
    test = digit_images().take(digit_split()["test"])
    assert torch.equal(sets.test.pixels, test.pixels)
    seen = {each.numpy().tobytes() for each in (*sets.fit.pixels, *sets.calibration.pixels)}
    assert len(seen) == FIT + CALIBRATE
    assert len(set(sets.calibration.labels.tolist())) == 10
    few = DigitSets.load(70, 50, 20)
    assert torch.equal(few.calibration.pixels, sets.calibration.pixels)
    assert torch.equal(few.fit.pixels, sets.fit.pixels[:50])
    assert (len(few.train), len(few.test), len(sets.train)) == (70, 20, 3500)


def test_pictures_give_the_digits_back(made, tmp_path):
    network = made[0].network
    digits = DigitSets.load(test=5).test
    paths = write_pictures(tmp_path / "digits", digits)
    assert [path.name for path in paths] == ["00.png", "01.png", "02.png", "03.png", "04.png"]
    with Image.open(paths[2]) as image:
        assert (np.asarray(image) == digits.pixels[2, ..., 0].numpy()).all()
    images = prepared(digits, network)
    assert tuple(images.shape) == (5, *network.image) and images.dtype == torch.uint8
    paths[1].write_bytes(b"kept")
    write_pictures(tmp_path / "digits", digits)
    assert paths[1].read_bytes() == b"kept"


def test_accuracies_are_paired():
    labels = torch.tensor([0, 1, 2, 3] * 25)
    expected = labels.numpy().copy()
    expected[:10] += 1  # float: 90 of 100
    found = expected.copy()
    found[10:14] += 1  # four more are wrong
    found[0] -= 1  # and one is right
    row = RowAccuracy.of("w4a6", found.tolist(), expected.tolist(), labels)
    assert row.accuracy == pytest.approx(0.87) and row.agreement == pytest.approx(0.95)
    assert row.difference == pytest.approx(-3)
    low, high = row.interval
    assert -10 < low < -3 < high < 3
