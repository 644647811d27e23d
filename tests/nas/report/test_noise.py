"""The error budget, the largest source first."""

from nas.report.chart import WIDTH
from nas.report.markup import written
from nas.report.noise import noise_figure
from tests.nas.report import samples


def test_noise_is_sorted():
    text = written(noise_figure(samples.noise()))
    assert text.index(">hidden<") < text.index(">weights<")
    assert "0.070" in text and "everything together, 0.090" in text


def test_numbers_stand_behind_every_bar_mark_and_line():
    drawn = noise_figure(samples.noise())
    numbers = [each for each in drawn.iter("text") if (each.text or "").startswith("0.")]
    assert len(numbers) == 2
    assert all(each.get("x") == str(WIDTH) and each.get("text-anchor") == "end" for each in numbers)
    ends = [float(each.get("x", 0)) + float(each.get("width", 0)) for each in drawn.iter("rect")]
    ends += [float(each.get("x2", 0)) for each in drawn.iter("line")]
    assert max(ends) < WIDTH - 36
