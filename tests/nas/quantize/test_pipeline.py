"""A whole network is quantized: what it loses, and that the integer model computes the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from boards.host.features import features as host_features
from nas.importer.forward import features, forward, logits, look
from nas.importer.network import converted
from nas.importer.selection import keeping
from nas.numerics.integer import IntegerNetwork
from nas.quantize import scales
from nas.quantize.arrange import arranged, folded, statistics, table_units, unit_order
from nas.quantize.export import export
from nas.quantize.method import NAIVE, Method
from nas.quantize.pipeline import quantize_network
from nas.quantize.scales import Quantizers
from rtl.model import Features
from sim import golden
from tests.nas.quantize.networks import all_bits, random_images, random_network

CALIBRATION, TEST = random_images(48), random_images(96, seed=77)
FULL = Method()


def result(network, tap=look):
    residual = forward(network, TEST, tap)
    if network.head is None:
        return features(network, residual)
    return logits(network, residual, tap)


def quantized(network, bits, method=FULL, granularity=8, quantizers=None):
    network = converted(folded(network, method), torch.float32)
    seen = statistics(network, CALIBRATION)
    units = table_units(network.blocks[0].hidden, method, granularity)
    network = arranged(network, [unit_order(tops, units) for tops in seen.hidden_tops])
    rows = all_bits(network, bits)
    return quantize_network(
        network, CALIBRATION, seen, method, rows, granularity=granularity, quantizers=quantizers
    )


def relative_error(network, done):
    wanted = result(network).float()
    found = result(done.network, done.codes.tap())
    return float((found - wanted).norm() / wanted.norm())


def median_error(found, wanted):
    """Median over the images of the distance between their answers."""
    return float((found - wanted).flatten(1).norm(dim=1).median())


WIDE: dict[str, Any] = {"width": 32, "heads": 2, "head_dim": 16, "hidden": 64}
NETWORK = random_network(**WIDE, classes=0)


def test_pipeline_loses_less_than_nearest_rounding():
    plain, full = (relative_error(NETWORK, quantized(NETWORK, 4, m)) for m in (NAIVE, FULL))
    assert full < 0.6 * plain
    assert relative_error(NETWORK, quantized(NETWORK, 8)) < 0.9 * full


def test_quantizing_again_gives_the_same():
    one, other = quantized(NETWORK, 4), quantized(NETWORK, 4)
    for name, rows in one.rows.items():
        assert torch.equal(rows.codes, other.rows[name].codes)


@pytest.mark.parametrize("act_bits", [4, 6, 8])
@pytest.mark.parametrize(
    "kind",
    [
        {"classes": 0, "pool": "all", "registers": 2},
        {"classes": 5, "pool": "token"},
        {"classes": 5, "pool": "mean", "registers": 1},
        {"classes": 5, "front": True},
        {"classes": 0, "pool": "all", "front": True},
        {"classes": 0, "pool": "attention"},
        {"classes": 5, "keep": {0: 4, 1: 2}, "depth": 3},
        {"classes": 5, "registers": 2, "keep": {0: 3}},
    ],
    ids=str,
)
def test_integer_model_computes_the_same(kind, act_bits):
    keep = kind.get("keep", {})
    network = random_network(**WIDE | {name: of for name, of in kind.items() if name != "keep"})
    network = keeping(network, keep)
    done = quantized(network, 8, replace(FULL, act_bits=act_bits))
    model = export(done, granularity=8, producer="test")
    codes = IntegerNetwork(model).run(TEST)
    assert np.array_equal(golden.run(model, TEST[:16].numpy()), codes[:16].numpy())
    wanted = result(done.network, done.codes.tap())
    if network.head is not None:
        found = codes * model.output.output_scale
    else:
        assert isinstance(model.output, Features)
        found = torch.from_numpy(host_features(model.output, codes.numpy(), 6)).view_as(wanted)
    exact = result(network).float()
    # Codes that flip at a tie make the two drift apart, but by less than quantization costs. Which
    # ones flip depends on the machine, and one may choose another patch: hence medians.
    cost = median_error(wanted, exact)
    assert median_error(found, wanted) < 1.2 * cost
    assert median_error(found, exact) < 1.2 * cost


def factors(x, bits, share, importance):
    """Channels have 1, 2, 4 and 8 times the scale of the first."""
    steps = 2.0 ** (torch.arange(x.shape[1]) % 4)
    return scales.symmetric(x.abs().amax() / 8 * steps, bits)


def test_channels_of_a_norm_may_have_exponents():
    chosen = [Quantizers(norm=factors)] * len(NETWORK.blocks)
    done = quantized(NETWORK, 8, quantizers=chosen)
    assert relative_error(NETWORK, done) > 1.05 * relative_error(NETWORK, quantized(NETWORK, 8))
    model = export(done, granularity=8, producer="test")
    for block in model.blocks:
        for norm in (block.norm1, block.norm2):
            assert norm.exponent.tolist() == [0, 1, 2, 3] * (NETWORK.width // 4)
    words = IntegerNetwork(model).run(TEST)
    assert np.array_equal(golden.run(model, TEST.numpy()), words.numpy())
    wanted, exact = result(done.network, done.codes.tap())[:, -1], result(NETWORK)[:, -1].float()
    found = torch.from_numpy(host_features(model.output, words.numpy(), 6))
    assert (found - wanted).norm() < 1.2 * (wanted - exact).norm()


def test_each_block_has_its_quantizers():
    calls = []

    def attention(weights, act_bits):
        calls.append(weights.shape)
        return weights

    def hidden(sample, units, bits):
        return replace(scales.gelu_output(sample, units, bits), high=31)

    last = Quantizers(attention=attention, hidden=hidden)
    chosen = [Quantizers()] * (len(NETWORK.blocks) - 1) + [last]
    done = quantized(NETWORK, 8, quantizers=chosen)
    assert [codes.hidden.high for codes in done.codes.blocks] == [63] * (len(chosen) - 1) + [31]
    assert calls and all(shape[-1] == NETWORK.tokens for shape in calls)


def test_a_norm_in_front_may_have_another_scale():
    """The stream in front is 500 times as large as that of the blocks."""
    network = random_network(width=32, heads=2, head_dim=16, hidden=64, classes=0, front=True)
    embed = replace(network.embed, weight=500 * network.embed.weight, bias=500 * network.embed.bias)
    large = replace(network, embed=embed, position=500 * network.position)
    done = quantized(large, 8)
    assert done.codes.front.scale[0] > 100 * done.codes.residual.scale[0]
    assert relative_error(large, done) < 1.2 * relative_error(network, quantized(network, 8))


@pytest.mark.parametrize(
    ("pool", "classes", "weighted"), [("token", 5, True), ("all", 0, True), ("mean", 5, False)]
)
def test_the_last_token_weighs_more_where_it_is_read(pool, classes, weighted):
    """A network on the mean of its patches has none that is."""
    network = random_network(**WIDE, classes=classes, pool=pool)
    found = [quantized(network, 4, replace(FULL, class_share=share)) for share in (0.0, 0.1)]
    rows, others = (done.rows["blocks.0.fc1"].codes for done in found)
    assert torch.equal(rows, others) != weighted


def test_two_tables_are_in_the_model():
    model = export(quantized(NETWORK, 4), granularity=8, producer="test")
    for block in model.blocks:
        assert block.first_units == 56
        assert block.gelu.shape == (2, 256)
        assert block.gelu[0].max() == block.gelu[1].max() == 63
    assert model.format == 2


def test_hidden_units_with_wide_ranges_have_the_second_table():
    done = quantized(NETWORK, 8)
    scale = done.codes.blocks[0].hidden.scale
    assert scale[:56].unique().numel() == 1 and scale[0] < scale[-1]
