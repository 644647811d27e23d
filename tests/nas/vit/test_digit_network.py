"""A small network of timm's: trained, saved, imported and quantized like any other."""

from dataclasses import replace

import timm
import torch

from nas.importer import load
from nas.importer.forward import forward, logits
from nas.vit.digit_network import (
    ARCHITECTURE,
    SIZES,
    DigitRecipe,
    digits_example,
    measure,
    normalised,
    save,
    train,
)
from nas.vit.digits import DigitSets, prepared
from nas.vit.rows import RowJob

RECIPE = DigitRecipe(epochs=1)


def test_a_saved_network_is_imported_as_it_is(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(ARCHITECTURE, **SIZES).eval()
    save(tmp_path, model)
    network = load(str(tmp_path))
    digits = DigitSets.load(test=4).test
    images = prepared(digits, network)
    assert torch.equal(images, digits.pixels), "28 pixels, grey, as they are"
    expected = model.double()(normalised(images).double())
    found = logits(network, forward(network, images))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (len(network.blocks), network.width, network.tokens) == (6, 96, 17)


def test_training_lowers_the_loss_and_happens_once(tmp_path, monkeypatch):
    digits = DigitSets.load(train=350).train
    told = []
    train(tmp_path / "a", digits, DigitRecipe(epochs=6, rate=2e-3), lambda *step: told.append(step))
    assert told == [(epoch, 6) for epoch in range(7)]
    network = load(str(tmp_path / "a"))
    test = DigitSets.load(test=200).test
    found = logits(network, forward(network, test.pixels)).argmax(1)
    assert (found == test.labels).double().mean() > 0.2, "chance is 0.1"
    monkeypatch.setattr(timm, "create_model", None)
    train(tmp_path / "a", digits, DigitRecipe())


def test_rows_are_measured_on_the_test_digits(fresh, monkeypatch):
    monkeypatch.setattr(RowJob, "run", RowJob.here)
    digits = DigitSets.load(train=50, test=20)
    digits = replace(digits, calibration=digits.calibration.take(range(8)))
    example = digits_example(fresh, digits, RECIPE)
    found = measure(example, digits, "zcu102")
    assert [row.name for row in found["rows"]] == ["w8a6", "mixed", "w4a6"]
    cycles = found["cycles"]
    assert cycles["w4a6"] <= cycles["mixed"] <= (cycles["w4a6"] + cycles["w8a6"]) // 2
    assert all(0 <= row.agreement <= 1 for row in found["rows"]) and found["seconds"] > 0
