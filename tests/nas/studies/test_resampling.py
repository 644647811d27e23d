"""Intervals of means over two kinds of things: they hold the mean as often as they say."""

import numpy as np
import pytest

from nas.studies.resampling import crossed_mean, nested_mean


@pytest.mark.parametrize("mean_of", [crossed_mean, nested_mean])
def test_equal_differences_have_no_width(mean_of):
    found = mean_of(np.full((3, 8), 0.25))
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_images_that_all_networks_share_widen_the_interval():
    """20 networks fail on the same images: as many images say no more than those of one network."""
    rng = np.random.default_rng(0)
    own, common = rng.normal(size=(20, 100)), np.tile(rng.normal(size=100), (20, 1))
    widths = {
        name: found.high - found.low
        for name, values in (("own", own), ("common", common))
        for found in [crossed_mean(values)]
    }
    assert widths["common"] == pytest.approx(2 * 1.96 / 100**0.5, rel=0.2)
    assert widths["own"] < widths["common"] / 2


def test_splits_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(5, 1000))
    shifts = np.array([-1, -0.5, 0, 0.5, 1])[:, None]
    alike, apart = nested_mean(images), nested_mean(images + shifts)
    assert 1 <= (alike.high - alike.low) / (2 * 1.96 / 5000**0.5) <= 2
    assert apart.high - apart.low > 10 * (alike.high - alike.low)
    assert apart.low < apart.mean < apart.high


@pytest.mark.parametrize("mean_of", [crossed_mean, nested_mean])
def test_the_mean_lies_within_95_of_100_intervals(mean_of):
    """Roughly: 40 samples of 12 networks and 50 images, each with a normal effect of its own."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(40):
        networks = rng.normal(size=(12, 1))
        images = rng.normal(size=(1, 50) if mean_of is crossed_mean else (12, 50))
        found = mean_of(networks + images)
        hits += found.low <= 0 <= found.high
    assert hits >= 33
