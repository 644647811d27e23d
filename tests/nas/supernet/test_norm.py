"""LayerNorm of codes: golden's codes, autograd's gradients."""

import re
from math import log

import numpy as np
import pytest
import torch
from torch.nn import functional

from nas.supernet.norm import SCALES, norm, norm_codes, rsqrt_codes
from sim.golden import ops
from tests.nas.supernet.gradients import ACT, assert_same, coded, integers


def test_norm_gradients():
    r = integers(-3000, 3000, 5, 7, 32)
    epsilon = 2.5

    def ours(r, log_out):
        return norm(r, log_out=log_out, epsilon=epsilon, limits=ACT)

    def theirs(r, log_out):
        normal = functional.layer_norm(r, [32], eps=epsilon)
        return coded(normal * torch.exp(-log_out), *ACT)

    assert_same(ours, theirs, r, torch.tensor(log(0.05)))


@pytest.mark.parametrize("width", [16, 64, 192])
def test_norm_equals_golden(width: int):
    r = integers(-4000, 4000, 40, width)
    r[0] = 7  # no variance at all
    log_out = torch.tensor(log(0.1))
    codes = norm_codes(width, 1.5, log_out)
    y = norm(r, log_out=log_out, epsilon=1.5, limits=ACT)
    expected = ops.layer_norm(
        r.numpy().astype(np.int64),
        epsilon=codes.epsilon,
        gain=codes.gain,
        shift=codes.shift,
        zero=0,
        exponent=np.zeros(width, int),
        low=ACT[0],
        high=ACT[1],
    )
    assert (y.numpy() == expected).mean() >= 0.9999


@pytest.mark.parametrize("scale", [3.0, 2.001, 2.0**-15, 1e-6])
def test_norm_refuses_a_scale_out_of_range(scale):
    said = f"a LayerNorm's output scale must be from 3.052e-05 to 2, not {scale:.4g}"
    with pytest.raises(ValueError, match=re.escape(said)):
        norm_codes(64, 1.0, torch.tensor(log(scale)))


@pytest.mark.parametrize("scale", SCALES)
def test_the_limits_of_the_scale_are_expressed_exactly(scale):
    codes = norm_codes(64, 1.0, torch.tensor(log(scale)))
    assert 1 / scale == pytest.approx(codes.gain * 2.0 ** -(codes.shift + 1), rel=1e-12)


def test_rsqrt_equals_golden():
    generator = np.random.default_rng(0)
    small = np.arange(1, 5000)
    large = np.floor(2.0 ** generator.uniform(0, 51, 20000)).astype(np.int64)
    variance = np.concatenate([small, large])
    k, e = rsqrt_codes(torch.from_numpy(variance.astype(np.float64)))
    expected_k, expected_e = ops.rsqrt(variance)
    assert (k.numpy() == expected_k).all() and (e.numpy() == expected_e).all()
