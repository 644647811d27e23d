"""Elastic layers: a slice of the shared weights is a layer of its own."""

import torch
from torch.nn import functional

from nas.numerics.reshape import join_heads, patches_of, split_heads
from nas.supernet.layers import ElasticLinear, row_mask
from nas.supernet.linear import weight_limits
from sim.golden import ops


def layer(rows: int = 12, depth: int = 20) -> ElasticLinear:
    torch.manual_seed(0)
    made = ElasticLinear(rows, depth, init_std=0.3)
    torch.nn.init.normal_(made.get_parameter("bias"))
    made.calibrate()
    return made


def test_sliced_layer_equals_a_standalone_one():
    elastic, x = layer(), torch.randn(3, 7, 16)
    alone = torch.nn.Linear(16, 8)
    with torch.no_grad():
        alone.weight.copy_(elastic.weight[:8, :16])
        alone.get_parameter("bias").copy_(elastic.get_parameter("bias")[:8])
    torch.testing.assert_close(elastic(x, 8), alone(x))


def test_sliced_quantized_layer_equals_a_standalone_one():
    elastic, alone = layer(), ElasticLinear(8, 16)
    with torch.no_grad():
        alone.weight.copy_(elastic.weight[:8, :16])
        alone.get_parameter("bias").copy_(elastic.get_parameter("bias")[:8])
        alone.log_step.copy_(elastic.log_step[:, :8])
    x = torch.randint(-32, 32, (3, 7, 16)).float()
    bits8 = torch.tensor([True] * 4 + [False] * 4)
    scales = {"log_in": torch.tensor(-3.0), "log_out": torch.tensor(-2.0), "limits": (-32, 31)}
    y = elastic.quantized(x, bits8, **scales)
    assert torch.equal(y, alone.quantized(x, bits8, **scales))
    assert y.unique().numel() > 20
    other = elastic.quantized(x, ~bits8, **scales)
    assert not torch.equal(y, other)  # the precision of a row matters


def test_quantized_layer_follows_the_float_layer():
    elastic = layer()
    x = torch.randint(-32, 32, (50, 20)).float()
    log_in, log_out = torch.tensor(0.05).log(), torch.tensor(0.02).log()
    y = elastic.quantized(x, torch.ones(12, dtype=torch.bool), log_in=log_in, log_out=log_out)
    torch.testing.assert_close(y * 0.02, elastic(x * 0.05, 12), atol=0.06, rtol=0.02)


def test_gradients_of_a_slice_stay_in_it():
    elastic = layer()
    bits8 = torch.zeros(8, dtype=torch.bool)
    x = torch.randint(-32, 32, (5, 16)).float()
    y = elastic.quantized(x, bits8, log_in=torch.tensor(-3.0), log_out=torch.tensor(-5.0))
    y.square().sum().backward()
    gradient, step = elastic.weight.grad, elastic.log_step.grad
    assert gradient is not None and step is not None
    assert gradient[:8, :16].abs().sum() > 0
    assert gradient[8:].abs().sum() == 0 and gradient[:, 16:].abs().sum() == 0
    assert step[0, :8].abs().min() > 0  # 4-bit steps of these rows
    assert step[1].abs().sum() == 0


def test_codes_are_in_the_range_of_each_row():
    elastic = layer()
    bits8 = torch.tensor([True] * 6 + [False] * 6)
    codes = elastic.codes(20, bits8, torch.tensor(-3.0), torch.tensor(-2.0))
    assert codes.weight[:6].abs().max() > 8
    assert codes.weight[6:].min() >= -8 and codes.weight[6:].max() <= 7
    low, high = weight_limits(bits8)
    assert low.tolist() == [-128] * 6 + [-8] * 6 and high.tolist() == [127] * 6 + [7] * 6


def test_keys_have_no_bias():
    assert ElasticLinear(4, 4, bias=False).bias is None


def test_heads_split_and_join():
    x = torch.randn(2, 5, 24)
    heads = split_heads(x, 8)
    assert heads.shape == (2, 3, 5, 8)
    assert torch.equal(heads[:, 1], x[:, :, 8:16])
    assert torch.equal(join_heads(heads), x)


def test_attention_in_float_mode_is_softmax_attention():
    q, k, v = torch.randn(3, 2, 5, 16).unbind(0)
    heads = [split_heads(t, 8) for t in (q, k, v)]
    ours = join_heads(functional.scaled_dot_product_attention(heads[0], heads[1], heads[2]))
    first = (q[..., :8] @ k[..., :8].transpose(1, 2) / 8**0.5).softmax(-1) @ v[..., :8]
    torch.testing.assert_close(ours[..., :8], first)


def test_patches_are_golden_s():
    pixels = torch.randint(0, 256, (2, 8, 12, 3), dtype=torch.uint8)
    expected = ops.patches(pixels.numpy(), 4)
    assert (patches_of(pixels, 4).numpy() == expected).all()


def test_row_mask_cuts_the_last_tile():
    assert row_mask((True, False), 4, 6).tolist() == [True] * 4 + [False] * 2
