"""Codes of others: against hand calculations, and what every code has to fulfil."""

from math import atan, tan

import pytest
import torch
from torch import Tensor

from nas.importer.forward import layer_norm, linear
from nas.importer.network import Affine, LayerNorm
from nas.quantize import scales
from nas.quantize.codes import rounded_attention
from nas.quantize.rounding import nearest
from nas.studies import codes

RNG = torch.Generator().manual_seed(0)
TABLES = {
    "uniform": codes.uniform,
    "log2": lambda bits: codes.logarithmic(bits, 1, 1),
    "root": lambda bits: codes.logarithmic(bits, 1, 2),
    "finest": lambda bits: codes.logarithmic(bits, codes.NUMERATORS[0]),
    "adaptive": lambda bits: codes.logarithmic(bits, 10),
    "tangent": lambda bits: codes.tangent(bits, codes.CURVES[-1]),
}


def spread_sample(tokens: int = 500) -> Tensor:
    """LayerNorm's outputs with channels of very different ranges: (tokens, 6)."""
    x = torch.randn(tokens, 6, generator=RNG)
    return x * torch.tensor([0.1, 0.3, 1.0, 1.0, 2.0, 9.0]) + torch.tensor([0, 0, 1.0, 0, 0, 5])


# -------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("kind", "bits"),
    # AdaLog's table has too few steps for the finest base at 4 bits; 2^-255 is no float32.
    [
        (kind, bits)
        for kind in TABLES
        for bits in (4, 6, 8)
        if (kind, bits) not in {("finest", 4), ("log2", 8)}
    ],
)
def test_a_table_is_monotone_and_idempotent_and_has_its_codes(kind, bits):
    table = TABLES[kind](bits)
    assert len(table.levels) == len(table.bounds) + 1 == 1 << bits
    assert (table.bounds.diff() > 0).all() and (table.levels.diff() >= 0).all()
    assert (table.levels[0], table.levels[-1]) == (0, 1)
    torch.testing.assert_close(table(table.levels), table.levels)
    x = torch.rand(3, 4, 50, generator=RNG).sort(-1).values
    found = table(x)
    assert found.shape == x.shape and (found.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("kind", TABLES)
def test_what_is_halfway_goes_up(kind):
    table = TABLES[kind](6)
    assert table.codes(table.bounds).tolist() == list(range(1, 64))
    below = table.bounds * (1 - 1e-5)
    assert table.codes(below).tolist() == list(range(63))


def test_log2_by_hand():
    table = codes.logarithmic(4, 1, 1)
    assert table.levels.flip(0)[:3].tolist() == [1, 0.5, 0.25]
    # -log2(.7) = .51 is nearer to 1 than to 0, though .7 is nearer to .5 by .2 than to 1 by .3.
    x = torch.tensor([1.0, 0.72, 0.70, 0.36, 2**-14, 2**-14.4, 2**-14.6, 0.0])
    assert table(x).tolist() == [1, 1, 0.5, 0.5, 2**-14, 2**-14, 0, 0]


def test_adaptive_base_by_hand():
    """Base 2^(10/37), code 5: 50 / 37 = 1 + 13/37, so a shift by 1 of a table entry for 13/37."""
    table = codes.logarithmic(4, 10)
    fine = round(2 ** (-13 / 37) * 30) / 30
    assert fine == 24 / 30
    assert float(table.levels[-1 - 5]) == pytest.approx(fine / 2)
    x = torch.tensor([2 ** (-10 * 5.4 / 37), 2 ** (-10 * 5.6 / 37)])
    assert (15 - table.codes(x)).tolist() == [5, 6]


def test_tangent_by_hand():
    table = codes.tangent(6, 1.1)
    assert float(table.levels[21]) == pytest.approx(atan(21 / 63 * tan(1.1)) / 1.1)
    steps = table.levels.diff()
    assert (steps.diff() < 0).all() and steps[0] > 4 * steps[-1]
    nearly = codes.tangent(6, 0.01)
    torch.testing.assert_close(nearly.levels, codes.uniform(6).levels, atol=1e-4, rtol=0)


# -------------------------------------------------------------- attention weights


def attention_weights() -> Tensor:
    """(images, heads, queries, keys), some flat and some sharp."""
    sharpness = torch.tensor([0.5, 2.0, 8.0])[:, None, None]
    return (torch.randn(2, 3, 40, 40, generator=RNG) * sharpness).softmax(-1)


@pytest.mark.parametrize("kind", TABLES)
def test_weights_relative_to_the_largest_sum_to_one(kind):
    weights = attention_weights()
    rounded = codes.table_attention(TABLES[kind](6))(weights, 6)
    torch.testing.assert_close(rounded.sum(-1), torch.ones(2, 3, 40))
    largest = weights.argmax(-1, keepdim=True)
    assert (rounded.gather(-1, largest) >= rounded.amax(-1, keepdim=True)).all()


def test_uniform_codes_are_the_engines_but_for_the_dither():
    weights = attention_weights()
    plain = codes.table_attention(codes.uniform(6))(weights, 6)
    dithered = rounded_attention(weights, 6)
    top = weights.amax(-1, keepdim=True)
    expected = torch.floor(weights / top * 63 + 0.5)
    torch.testing.assert_close(plain, expected / expected.sum(-1, keepdim=True))
    assert not torch.allclose(plain, dithered)


def test_weights_as_they_are():
    table = codes.logarithmic(6, 1, 1)
    weights = torch.tensor([[0.5, 0.3, 0.2]])
    assert codes.table_attention(table, relative=False)(weights, 6).tolist() == [[0.5, 0.25, 0.25]]


def test_the_best_table_is_the_one_of_least_error():
    tables = [codes.logarithmic(6, numerator) for numerator in codes.NUMERATORS]
    weights = attention_weights()

    def error(table):
        return float((codes.table_attention(table)(weights, 6) - weights).square().sum())

    best = codes.best_table(tables, weights)
    assert error(best) == min(map(error, tables)) < error(codes.logarithmic(6, 1, 1))


# -------------------------------------------------------------- LayerNorm outputs


def test_channels_have_their_own_limits():
    x = spread_sample()
    share = torch.ones(len(x))
    code = codes.per_channel(x, 6, share)
    assert (code.low, code.high) == (0, 63) and code.scale.shape == code.zero.shape == (6,)
    assert (code.zero == code.zero.round()).all()
    one = scales.best_symmetric(x, 6, share)
    assert ((code(x) - x).square().mean(0) <= (one(x) - x).square().mean(0)).all()
    few = torch.tensor([[-1.0, 0.0], [2.15, 6.3]])
    by_hand = codes.per_channel(few, 6, torch.ones(2))
    torch.testing.assert_close(by_hand.scale, torch.tensor([0.05, 0.1]))
    assert by_hand.zero.tolist() == [20, 0]


@pytest.mark.parametrize("statistic", [Tensor.amax, Tensor.mean, Tensor.median])
def test_a_folded_scale_that_all_channels_share_drops_out(statistic):
    """RepQ-ViT's rewriting: whatever scale is shared, norm codes and weight codes are the same."""
    x = spread_sample()
    code = codes.per_channel(x, 6, torch.ones(len(x)))
    norm = LayerNorm(torch.rand(6, generator=RNG) + 0.5, torch.randn(6, generator=RNG), 1e-6)
    layer = Affine(torch.randn(8, 6, generator=RNG), torch.randn(8, generator=RNG))
    bits = torch.full((8,), 8)

    scale, zero = statistic(code.scale), code.zero.mean().round()
    ratio, offset = code.scale / scale, code.zero - zero
    norm_folded = LayerNorm(
        norm.weight / ratio, (norm.bias + code.scale * offset) / ratio, norm.epsilon
    )
    weight = layer.weight * ratio
    layer_folded = Affine(weight, layer.bias - layer.weight @ (code.scale * offset))
    torch.testing.assert_close(
        linear(layer_folded, layer_norm(norm_folded, x)), linear(layer, layer_norm(norm, x)),
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip

    shared = scales.Code(scale.expand(6), zero.expand(6), 0, 63)
    normal = layer_norm(norm, x)
    differing = shared.codes(layer_norm(norm_folded, x)) != code.codes(normal)
    assert differing.float().mean() < 1e-3  # ties, in float32
    torch.testing.assert_close(
        nearest(weight * scale, bits).codes, nearest(layer.weight * code.scale, bits).codes
    )


def test_powers_of_two():
    x = spread_sample()
    share, importance = torch.ones(len(x)), torch.ones(6)
    code = codes.power_of_two(x, 6, share, importance)
    exponents = (code.scale / code.scale.min()).log2()
    assert (exponents == exponents.round()).all() and set(exponents.tolist()) <= {0, 1, 2, 3}
    assert exponents.max() > 0 and exponents[0] == 0 and exponents[5] == exponents.max()
    one = scales.best_symmetric(x, 6, share, importance)
    assert (code(x) - x).square().sum() < (one(x) - x).square().sum()


def test_shared_scales_by_hand():
    x = torch.tensor([[1.0, -2.0, 6.0], [-0.5, 1.0, -3.0]])
    for statistic, top in ((Tensor.amax, 6), (Tensor.mean, 3), (Tensor.median, 2)):
        code = codes.shared(statistic)(x, 6, torch.ones(2), None)
        torch.testing.assert_close(code.scale, torch.full((3,), top / 31))
        assert code(x)[0, 2] == pytest.approx(min(6, top))


# -------------------------------------------------------------- GELU outputs


def hidden_sample() -> Tensor:
    """GELU's outputs of 16 units, the last four with a wide range: (tokens, 16)."""
    x = torch.randn(700, 16, generator=RNG) * torch.tensor([0.5] * 12 + [4.0] * 4)
    return torch.nn.functional.gelu(x)


@pytest.mark.parametrize("units", [(16,), (12, 4)])
def test_hidden_codes_stand_for_what_they_round(units):
    hidden = hidden_sample()
    tables = [codes.logarithmic(6, numerator) for numerator in (5, 10, 37)]
    code = codes.table_hidden(tables)(hidden, units, 6)
    assert isinstance(code, codes.TableCode) and code.table in tables
    assert len(code.scale.unique()) == len(units)
    found = code.codes(hidden)
    assert found.min() >= 0 and found.max() <= 63 and (found == found.round()).all()
    torch.testing.assert_close(code(hidden), code.values(found))
    torch.testing.assert_close(code.codes(code.values(found)), found)
    lowest = code.values(torch.zeros(1, 16))
    torch.testing.assert_close(lowest, torch.full((1, 16), scales.GELU_LOW))


def test_a_scale_for_each_table_is_finer():
    hidden = hidden_sample()
    choose = codes.table_hidden([codes.uniform(6)])
    one, two = (choose(hidden, units, 6) for units in ((16,), (12, 4)))
    assert (two(hidden) - hidden).square().sum() < 0.9 * (one(hidden) - hidden).square().sum()
