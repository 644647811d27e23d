"""A quantized network moves from device to device with all its tensors."""

import torch

from nas.importer.checks import tensors
from nas.quantize.network import moved
from tests.nas.quantize.test_pipeline import NETWORK, quantized


def test_every_tensor_is_moved():
    done = moved(quantized(NETWORK, 4), "meta")
    assert {part.device.type for _, part in tensors(done.network)} == {"meta"}
    assert done.codes.residual.scale.is_meta
    assert done.codes.blocks[1].hidden.zero.is_meta
    assert all(rows.codes.is_meta and rows.bits.is_meta for rows in done.rows.values())


def test_types_and_values_stay():
    done = quantized(NETWORK, 4)
    same = moved(done, "cpu")
    rows = same.rows["blocks.0.q"]
    assert rows.bits.dtype == torch.int64
    assert torch.equal(rows.codes, done.rows["blocks.0.q"].codes)
    assert same.network.blocks[0].heads == done.network.blocks[0].heads
