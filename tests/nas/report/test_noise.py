"""The error budget, the largest source first."""

from nas.report.markup import written
from nas.report.noise import noise_figure
from tests.nas.report import samples


def test_noise_is_sorted():
    text = written(noise_figure(samples.noise()))
    assert text.index(">hidden<") < text.index(">weights<")
    assert "0.070" in text and "everything together, 0.090" in text
