"""The network that an integer model was made of comes back out of its file."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import features, forward, logits
from nas.importer.network import converted
from nas.quantize.arrange import folded, statistics
from nas.quantize.export import export
from nas.quantize.method import Method
from nas.quantize.network import QuantizedNetwork
from nas.quantize.pipeline import quantize_network
from nas.quantize.rebuild import rebuilt, rotation_of
from rtl.errors import UserError
from rtl.model import IntegerModel
from tests.nas.quantize.networks import all_bits, random_images, random_network

IMAGES = random_images(12)


def quantized(*, rotate: bool = True, bits: int = 8, **sizes) -> QuantizedNetwork:
    network = random_network(width=32, heads=2, head_dim=16, hidden=64, **sizes)
    method = Method(rounding="nearest", least_squares=False, rotate=rotate, seed=7)
    network = converted(folded(network, method), torch.float32)
    rows = all_bits(network, bits)
    seen = statistics(network, IMAGES)
    return quantize_network(network, IMAGES, seen, method, rows, granularity=8)


def reloaded(done: QuantizedNetwork, folder) -> IntegerModel:
    export(done, granularity=8, producer="test").save(folder / "a.pulsar")
    return IntegerModel.load(folder / "a.pulsar")


def result(done: QuantizedNetwork, tap) -> torch.Tensor:
    residual = forward(done.network, IMAGES, tap)
    if done.network.head is None:
        return features(done.network, residual)
    return logits(done.network, residual, tap)


@pytest.mark.parametrize(
    "kind",
    [
        {"classes": 0, "pool": "all", "registers": 1},
        {"classes": 5, "pool": "token"},
        {"classes": 5, "pool": "mean"},
        {"classes": 5, "front": True},
        {"classes": 0, "pool": "attention"},
    ],
    ids=str,
)
def test_the_rebuilt_network_computes_the_same(kind, tmp_path):
    done = quantized(**kind)
    again = rebuilt(reloaded(done, tmp_path))
    for kinds in ((), ("norm", "q", "k", "v", "attention")):
        wanted = result(done, done.codes.tap(kinds))
        found = result(again, again.codes.tap(kinds))
        # Positions are residual codes, multipliers have 17 bits, a code at a tie may flip; a
        # constant query is a code of 6 bits.
        exact = 1e-2 if done.codes.pooled else 1e-3
        assert (found - wanted).norm() < (3e-2 if kinds else exact) * wanted.norm()
    assert again.network.pool == done.network.pool
    assert again.network.registers == done.network.registers


def test_codes_are_equal(tmp_path):
    done = quantized(classes=5, pool="mean")
    again = rebuilt(reloaded(done, tmp_path))
    pairs = [(done.codes.residual, again.codes.residual), (done.codes.pool, again.codes.pool)]
    for one, other in zip(done.codes.blocks, again.codes.blocks, strict=True):
        assert one.first_table_units == other.first_table_units == 56
        pairs += [(code, other.tensors()[name]) for name, code in one.tensors().items()]
    for one, other in pairs:
        assert one and other and (one.low, one.high) == (other.low, other.high)
        assert torch.equal(one.scale, other.scale) and torch.equal(one.zero, other.zero)


def test_rows_are_equal(tmp_path):
    done = quantized(bits=4)
    again = rebuilt(reloaded(done, tmp_path))
    assert done.rows.keys() == again.rows.keys()
    for name, rows in done.rows.items():
        assert torch.equal(rows.codes, again.rows[name].codes)
        assert torch.equal(rows.bits, again.rows[name].bits)
        assert torch.allclose(rows.step, again.rows[name].step, rtol=2e-5)


@pytest.mark.parametrize(("rotate", "seed"), [(True, 7), (False, None)])
def test_the_rotation_is_known(rotate, seed, tmp_path):
    assert rotation_of(reloaded(quantized(rotate=rotate), tmp_path)) == seed


def test_other_models_are_refused(tmp_path):
    model = replace(reloaded(quantized(), tmp_path), info={})
    with pytest.raises(
        UserError, match=r"does not say what its codes stand for: quantize it again"
    ):
        rebuilt(model)
