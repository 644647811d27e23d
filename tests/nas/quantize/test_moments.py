"""Moments in chunks equal those at once, and give the least-squares weight."""

import pytest
import torch

from nas.quantize.moments import MomentSums

RNG = torch.Generator().manual_seed(0)
INPUTS = torch.randn(6, 5, 4, generator=RNG)
WEIGHT = torch.randn(3, 4, generator=RNG)
AIM = INPUTS @ WEIGHT.T + torch.tensor([1.0, -2.0, 0.5])


def summed(chunk: int, **options):
    sums = MomentSums(**options)
    for x, y in zip(INPUTS.split(chunk), AIM.split(chunk), strict=True):
        sums.add(x, y)
    return sums.moments()


def test_chunks_do_not_matter():
    one, many = summed(6), summed(4)
    # Products of float32 within a chunk: their sums differ in the last digits.
    torch.testing.assert_close(one.inputs, many.inputs, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(one.cross, many.cross, atol=1e-6, rtol=1e-5)


def test_inputs_are_the_covariance():
    flat = INPUTS.flatten(0, 1).double()
    assert torch.equal(summed(2).regular, summed(2).inputs)
    torch.testing.assert_close(summed(2).inputs, torch.cov(flat.T, correction=0))


def test_best_weight_and_bias_are_found():
    moments = summed(2)
    found = moments.best_weight(torch.zeros(3, 4), ridge=1e-9)
    torch.testing.assert_close(found, WEIGHT, atol=1e-5, rtol=1e-5)
    bias = moments.bias(WEIGHT.double())
    torch.testing.assert_close(bias, torch.tensor([1.0, -2.0, 0.5]).double())


@pytest.mark.parametrize("value", [0.0, 0.3, 1e4])
def test_inputs_that_do_not_vary_can_be_solved(value):
    """Of a class token in images that are alike, or of a network with a width of 1."""
    sums, x = MomentSums(), torch.full((4, 3, 50), value) * torch.linspace(0.1, 2, 50)
    for chunk in x.split(1):
        sums.add(chunk, chunk[..., :3])
    moments = sums.moments()
    assert torch.linalg.eigvalsh(moments.regular)[0] > 0
    weight = torch.ones(3, 50)
    torch.testing.assert_close(moments.best_weight(weight, ridge=1.0), weight, atol=0.1, rtol=0)


def test_ridge_pulls_towards_the_weight():
    moments, old = summed(2), torch.ones(3, 4)
    strong = moments.best_weight(old, ridge=1e6)
    torch.testing.assert_close(strong, old, atol=1e-3, rtol=1e-3)


def test_class_token_has_its_share():
    moments = summed(2, class_share=0.5)
    others, last = INPUTS[:, :-1].flatten(0, 1).mean(0), INPUTS[:, -1].mean(0)
    torch.testing.assert_close(moments.input_mean, ((others + last) / 2).double())


def test_without_cross_moments_the_means_stay():
    moments = summed(2, cross=False)
    assert (moments.cross + torch.outer(moments.aim_mean, moments.input_mean) == 0).all()
    torch.testing.assert_close(moments.aim_mean, summed(6).aim_mean)
