"""Constants of the integer model stand for the real values that they were made of."""

import numpy as np
import torch

from nas.importer.forward import gelu
from nas.importer.network import Affine
from nas.quantize.codes import Code
from nas.quantize.export import gelu_tables, linear
from nas.quantize.rounding import nearest
from sim.golden import matmul, requantize
from tests.nas.quantize.test_pipeline import NETWORK, quantized

RNG = torch.Generator().manual_seed(0)


def test_layer_computes_what_its_codes_stand_for():
    source = Code(torch.full((20,), 0.1), torch.full((20,), 7.0), 0, 63)
    result = Code(torch.tensor([0.05, 0.2, 0.1]), torch.tensor([-20.0, 0, 5]), -128, 127)
    weight, bias = torch.randn(3, 20, generator=RNG) * 0.3, torch.tensor([1.0, -2.0, 0.3])
    rows = nearest(weight * source.scale, torch.tensor([4, 8, 8]))
    made = linear(Affine(rows.weight / source.scale, bias), rows, source, result)
    codes = torch.randint(0, 64, (50, 20), generator=RNG)
    acc = matmul(codes.numpy(), made.weight)
    found = requantize(acc, made.bias, made.multiplier, made.shift, -128, 127)
    real = (codes - source.zero) * source.scale @ (rows.weight / source.scale).T + bias
    assert np.abs(found - result.codes(real).numpy()).max() <= 1
    assert (found == result.codes(real).numpy()).mean() > 0.98


def test_tables_hold_gelu():
    done = quantized(NETWORK, 8)
    block, codes = done.network.blocks[0], done.codes.blocks[0]
    tables = gelu_tables(block, codes)
    for unit, table in zip((0, codes.first_table_units), tables, strict=True):
        inputs = (torch.arange(-128, 128) - codes.fc1.zero[unit]) * codes.fc1.scale[unit]
        hidden = (torch.from_numpy(table) - codes.hidden.zero[unit]) * codes.hidden.scale[unit]
        wanted = gelu(block.activation, inputs)
        assert (hidden - wanted).abs().max() <= 0.51 * codes.hidden.scale[unit] + 0.01
