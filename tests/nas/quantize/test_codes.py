"""Codes in floating point behave like those of docs/numerics.md."""

import numpy as np
import torch

from nas.importer.forward import forward
from nas.importer.network import converted
from nas.quantize.arrange import folded, statistics
from nas.quantize.codes import KINDS, Code, rounded_attention
from nas.quantize.method import Method
from nas.quantize.pipeline import quantize_network
from sim.golden import softmax_weights
from tests.nas.quantize.networks import all_bits, random_images, random_network


def test_code_rounds_half_up_and_clips():
    code = Code(torch.tensor([0.5]), torch.tensor([3.0]), 0, 7)
    x = torch.tensor([[-9.0], [-0.25], [0.0], [0.24], [0.25], [9.0]])
    assert code.codes(x)[:, 0].tolist() == [0, 3, 3, 3, 4, 7]
    assert code(x)[:, 0].tolist() == [-1.5, 0, 0, 0, 0.5, 2.0]


def test_attention_is_that_of_golden():
    rng = np.random.default_rng(0)
    scores = rng.integers(-2000, 2000, (3, 40))
    octaves = 1 / 700
    multiplier, shift = round(octaves * 256 * 2**16), 16
    wanted = softmax_weights(scores, multiplier, shift, 6)
    weights = torch.softmax(torch.from_numpy(scores).double() * octaves * np.log(2), -1)
    found = rounded_attention(weights, 6) * torch.from_numpy(wanted.sum(-1, keepdims=True))
    assert np.abs(found.numpy() - wanted).max() < 1.1  # a code differs where u is cut
    assert np.abs(found.numpy() - wanted).mean() < 0.1


def test_noise_comes_from_the_kinds_that_are_asked_for():
    network = converted(folded(random_network(classes=0), Method()), torch.float32)
    images = random_images(8)
    seen, bits = statistics(network, images), all_bits(network, 8)
    done = quantize_network(network, images, seen, Method(), bits, granularity=8)
    exact = forward(done.network, images)
    assert torch.equal(forward(done.network, images, done.codes.tap(())), exact)
    noise = {
        kind: float((forward(done.network, images, done.codes.tap((kind,))) - exact).norm())
        for kind in KINDS
    }
    assert all(value > 0 for value in noise.values())
    assert noise["residual"] < min(noise["norm"], noise["hidden"], noise["context"])
