"""Scales cover what they should, and clip where that pays."""

import pytest
import torch

from nas.quantize import scales

RNG = torch.Generator().manual_seed(0)


def test_symmetric_reaches_its_limits():
    code = scales.symmetric(torch.tensor([2.0, 0.5]), 6)
    assert (code.low, code.high) == (-32, 31)
    torch.testing.assert_close(code(torch.tensor([2.0, 9.0])), torch.tensor([2.0, 0.5]))
    assert code.codes(torch.tensor([-9.0, 0.0])).tolist() == [-32, 0]


def test_best_symmetric_clips_outliers_at_few_bits_alone():
    x = torch.randn(2000, 8, generator=RNG)
    share = torch.ones(2000)
    four, eight = (scales.best_symmetric(x, bits, share) for bits in (4, 8))
    top = float(x.abs().max())
    assert four.high * float(four.scale[0]) < 0.8 * top
    assert eight.high * float(eight.scale[0]) > 0.8 * top


def test_weight_of_tokens_and_channels_counts():
    x = 0.1 * torch.randn(1000, 4, generator=RNG)
    x[-1] = 10.0  # a token of its own kind
    share = torch.ones(1000)
    clipped = scales.best_symmetric(x, 4, share * 1e-3)
    share[-1] = 1e6
    assert scales.best_symmetric(x, 4, share).scale[0] >= clipped.scale[0]
    mute = torch.tensor([1.0, 1.0, 1.0, 0.0])
    x[:, 3], x[-1, :3] = 10.0, 0.3
    assert scales.best_symmetric(x, 4, torch.ones(1000), mute).scale[0] < 1


def test_groups_have_scales_of_their_own():
    x = torch.tensor([[1.0, -2.0, 30.0, 4.0]])
    code = scales.per_group(x, 2, 8)
    torch.testing.assert_close(code.scale * 127, torch.tensor([2.0, 2.0, 30.0, 30.0]))


def test_gelu_input_begins_at_the_window():
    x = torch.linspace(-8, 5, 100)[:, None].expand(100, 4) * torch.tensor([1.0, 1, 1, 3])
    code = scales.gelu_input(x, (3, 1))
    lowest = (code.low - code.zero) * code.scale
    torch.testing.assert_close(lowest, torch.full((4,), -3.0), atol=0.06, rtol=0)
    torch.testing.assert_close(code(x)[-1], x[-1], atol=0.06, rtol=0)
    assert code.scale[0] < code.scale[3]


def test_gelu_output_holds_minimum_and_maximum():
    hidden = torch.nn.functional.gelu(torch.linspace(-4, 6, 500))[:, None].expand(500, 2)
    code = scales.gelu_output(hidden, (2,), 6)
    assert (code.low, code.high) == (0, 63)
    torch.testing.assert_close(code(hidden), hidden, atol=0.06, rtol=0)


def test_units_that_never_fire_have_a_scale():
    code = scales.gelu_output(torch.full((5, 3), -0.1), (3,), 6)
    assert (code.scale > 0).all() and (code.zero <= 63).all()


def test_class_tokens_get_their_share():
    share = scales.token_shares(2, 5, 0.4).view(2, 5)
    torch.testing.assert_close(share[:, -1], torch.full((2,), 0.4))
    torch.testing.assert_close(share.sum(1), torch.ones(2))
    assert scales.token_shares(2, 5, 0.0).tolist() == pytest.approx([0.2] * 10)
