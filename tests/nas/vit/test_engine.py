"""A picture on the simulated engine."""

from dataclasses import replace

import numpy as np
import torch

from nas.numerics.integer import IntegerNetwork
from nas.vit import engine
from nas.vit.engine import run_image


def test_the_engine_gives_the_integer_model_s_tokens(made, tmp_path):
    example, row = made
    images = example.test_images[:1]
    result = run_image(row.model, images[0].numpy(), "sim", "tiny", tmp_path / "tokens.npy")
    assert (result.mismatches, result.first_mismatch) == (0, None)
    assert result.words > 1000 and result.cycles == row.cost.cycles
    expected = IntegerNetwork(row.model).run(torch.as_tensor(images))[0].numpy()
    assert np.array_equal(np.load(tmp_path / "tokens.npy"), expected)


def test_what_differs_is_counted(made, tmp_path, monkeypatch):
    example, row = made
    real = engine.runner.run

    def wrong(*args, **kwargs):
        run = real(*args, check=False, **kwargs)
        return replace(run, wrong_instructions=2, wrong_outputs=3, first_mismatch="image 0: q")

    monkeypatch.setattr(engine.runner, "run", wrong)
    pixels = example.test_images[0].numpy()
    result = run_image(row.model, pixels, "sim", "tiny", tmp_path / "tokens.npy")
    assert (result.mismatches, result.first_mismatch) == (5, "image 0: q")
