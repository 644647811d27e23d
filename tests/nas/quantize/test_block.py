"""One block: streams, centring, and aims."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import embed, look, run_block
from nas.importer.network import converted
from nas.importer.selection import noting, on_tokens
from nas.quantize import scales
from nas.quantize.arrange import folded
from nas.quantize.block import BlockQuantizer
from nas.quantize.codes import block_tap
from nas.quantize.method import Method
from rtl.model.shape import LAYERS
from tests.nas.quantize.networks import random_images, random_network

NETWORK = converted(folded(random_network(classes=0), Method()), torch.float32)
BLOCK = NETWORK.blocks[0]
IMAGES = random_images(24)


def quantizer(bits=4, block=BLOCK, **changes):
    stream = [embed(NETWORK, chunk) for chunk in IMAGES.split(8)]
    top = torch.full((NETWORK.width,), 40.0)
    return BlockQuantizer(
        block,
        NETWORK.head_dim,
        stream,
        stream,
        scales.symmetric(top, 16),
        {name: torch.full((len(getattr(BLOCK, name).bias),), bits) for name in LAYERS},
        (40, 8),
        replace(Method(), **changes),
    )


def test_streams_are_those_of_the_blocks():
    work = quantizer()
    done = work.quantize()
    before = embed(NETWORK, IMAGES)
    torch.testing.assert_close(torch.cat(work.exact), run_block(BLOCK, before, 12))
    tap = block_tap(done.codes, work.residual, 6)
    torch.testing.assert_close(torch.cat(work.stream), run_block(done.block, before, 12, tap))


def test_both_streams_keep_the_tokens_that_the_quantized_network_chooses():
    block = replace(BLOCK, keep=3)
    work = quantizer(block=block)
    done = work.quantize()
    before, kept = embed(NETWORK, IMAGES), {}
    tap = noting(kept, block_tap(done.codes, work.residual, 6))
    torch.testing.assert_close(torch.cat(work.stream), run_block(done.block, before, 12, tap))
    exact = run_block(block, before, 12, on_tokens(kept, look))
    torch.testing.assert_close(torch.cat(work.exact), exact)
    assert exact.shape == (24, 4, 24)
    assert not torch.equal(exact, run_block(block, before, 12))  # its own choice is another
    again = quantizer(block=block)
    again.replay(done)
    torch.testing.assert_close(torch.cat(again.stream), torch.cat(work.stream))
    torch.testing.assert_close(torch.cat(again.exact), exact)


def test_codes_are_of_the_tokens_that_stay():
    work = quantizer(block=replace(BLOCK, keep=2))
    done = work.quantize()
    hidden = torch.cat([work._hidden(chunk) for chunk in work.stream])
    assert hidden.shape[1] == 3
    all_codes = quantizer().quantize().codes
    assert not torch.equal(done.codes.context.scale, all_codes.context.scale)
    assert torch.equal(done.codes.v.scale, all_codes.v.scale)


def error(**changes):
    work = quantizer(**changes)
    work.quantize()
    return float((torch.cat(work.stream) - torch.cat(work.exact)).norm())


@pytest.mark.parametrize("better", ["compensated", "descended"])
def test_rounding_against_inputs_helps(better):
    assert error(rounding=better) < 0.9 * error(rounding="nearest")


def test_least_squares_help_on_the_images_themselves():
    assert error(ridge=0.01) < error(least_squares=False)


def test_keys_and_values_are_centred():
    done = quantizer(bits=8).quantize()
    kept = {}
    run_block(done.block, embed(NETWORK, IMAGES), 12, lambda n, x: kept.setdefault(n, x))
    for name in ("k", "v"):
        mean, spread = kept[name].mean((0, 1)).abs().max(), kept[name].std()
        assert mean < 0.1 * spread, name


def test_mean_of_the_results_stays():
    plain, corrected = (quantizer(correct_bias=on) for on in (False, True))
    means = []
    for work in (plain, corrected):
        work.quantize()
        difference = torch.cat(work.stream) - torch.cat(work.exact)
        means.append(float(difference.mean((0, 1)).norm()))
    assert means[1] < 0.5 * means[0]
