"""Mean of tokens: codes of the exact mean, gradients of the mean that is not rounded."""

import pytest
import torch

from nas.supernet.pool import mean, pool_factor

LIMITS = (-32, 31)


def scales(one=0.1, two=0.02):
    return [torch.tensor(value).log().requires_grad_() for value in (one, two)]


def test_codes_are_those_of_the_mean():
    log_in, log_out = scales()
    x = torch.randint(-32, 32, (5, 49, 16), generator=torch.Generator().manual_seed(0)).float()
    y = mean(x, log_in=log_in, log_out=log_out, limits=LIMITS)
    exact = (x.double().mean(1, keepdim=True) * 5).clamp(*LIMITS)
    assert y.shape == (5, 1, 16) and torch.equal(y, y.round())
    assert (y - exact).abs().max() < 0.5 + 1e-3


def test_factors_have_17_bits():
    factor = pool_factor(49, *scales())
    assert factor == pytest.approx(5 / 49, rel=2**-17)
    assert torch.frexp(factor).mantissa * 2**17 % 1 == 0


def test_gradients_are_those_of_the_mean_where_nothing_is_clipped():
    log_in, log_out = scales()
    x = torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(1)).mul(20).round()
    x.requires_grad_()
    weight = torch.randn(3, 1, 8, generator=torch.Generator().manual_seed(2))
    inputs = x, log_in, log_out
    y = mean(x, log_in=log_in, log_out=log_out, limits=LIMITS)
    found = torch.autograd.grad((y * weight).sum(), inputs)
    smooth = x.mean(1, keepdim=True) * (log_in - log_out).exp()
    clipped = smooth.clamp(LIMITS[0] - 0.5, LIMITS[1] + 0.5)
    assert (clipped != smooth).any() and (clipped == smooth).any()
    expected = torch.autograd.grad((clipped * weight).sum(), inputs)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
