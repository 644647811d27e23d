"""Rounding: half up, never half to even."""

import torch

from nas.numerics.codes import round_half_up


def test_round_half_up_is_not_half_to_even():
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert round_half_up(x).tolist() == [-1, 0, 1, 2, 3]
