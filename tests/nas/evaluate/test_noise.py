"""The noise of every operation adds up to what quantization costs."""

from dataclasses import replace

import numpy as np
import pytest

from nas.evaluate.answers import float_answers, integer_answers
from nas.evaluate.noise import SOURCES, NoiseMeter
from nas.importer.network import Affine
from nas.quantize.codes import KINDS
from rtl.errors import UserError
from tests.nas.evaluate.models import network, quantized
from tests.nas.quantize.networks import random_images

IMAGES = random_images(16, seed=5)


@pytest.fixture(scope="module")
def tokens():
    exact = network(0, "all")
    return exact, quantized(exact)


def test_squares_of_single_sources_add_up(tokens):
    exact, model = tokens
    found = NoiseMeter(model, exact).measure(IMAGES.split(5))
    assert [source.source for source in found.sources] == list(SOURCES)
    assert 0.7 < found.root_of_squares / found.total < 1.3
    # A source's noise and that of all but it are the legs of a triangle, about.
    for source in found.sources:
        assert 0.7 < (source.alone**2 + source.without**2) ** 0.5 / found.total < 1.3
    assert found.agreement is None and found.images == 16


def test_the_total_is_the_integer_models(tokens):
    exact, model = tokens
    found = NoiseMeter(model, exact).measure([IMAGES])
    integer, wanted = (a(IMAGES).features for a in (integer_answers(model), float_answers(exact)))
    assert integer is not None and wanted is not None
    error = np.linalg.norm(integer - wanted) / np.linalg.norm(wanted)
    assert found.total == pytest.approx(error, rel=0.15)


def test_weights_with_fewer_bits_are_noisier(tokens):
    exact, model = tokens
    eight, four = (
        {s.source: s for s in NoiseMeter(each, exact).measure([IMAGES]).sources}
        for each in (model, quantized(exact, bits=4))
    )
    assert four["weights"].alone > 4 * eight["weights"].alone
    assert four["embedding"].alone == pytest.approx(eight["embedding"].alone, rel=1e-3)
    assert four["weights"].without < four["norm"].without
    for kind in KINDS:
        assert four[kind].alone == pytest.approx(eight[kind].alone, rel=0.5)


def test_a_worse_embedding_is_seen_there_alone(tokens):
    """The float network's embedding is changed, as if that of the model had been rounded badly."""
    exact, model = tokens
    embed = exact.embed
    other = replace(exact, embed=Affine(embed.weight * 1.1, embed.bias))
    before, after = (
        {s.source: s for s in NoiseMeter(model, each).measure([IMAGES]).sources}
        for each in (exact, other)
    )
    assert after["embedding"].alone > 5 * before["embedding"].alone
    assert after["embedding"].without < 1.3 * before["embedding"].without
    assert after["norm"].alone == pytest.approx(before["norm"].alone, rel=0.1)
    assert after["norm"].without > 1.5 * before["norm"].without


def test_classifiers_also_tell_agreement():
    exact = network(5, "mean")
    found = NoiseMeter(quantized(exact), exact).measure([IMAGES])
    assert found.agreement is not None and found.agreement > 0.5
    for source in found.sources:
        assert source.agreement_alone is not None and source.agreement_alone >= 0.5
        assert source.agreement_without is not None and source.agreement_without >= 0.5
    report = found.report()
    assert report["sources"][0] == vars(found.sources[0])


def test_all_ways_have_the_tokens_of_the_quantized_network():
    exact = network(0, "all", depth=3, keep={0: 4, 1: 2})
    found = NoiseMeter(quantized(exact), exact).measure(IMAGES.split(5))
    assert 0.7 < found.root_of_squares / found.total < 1.3


def test_other_models_are_refused(tokens):
    exact, model = tokens
    with pytest.raises(UserError, match="does not say what its codes stand for"):
        NoiseMeter(replace(model, info={}), exact)
