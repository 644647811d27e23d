"""The parts of an integer model: mean pooling, its scales and its refusals."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.errors import UserError
from rtl.model import IntegerModel, repack
from sim.random_model import random_model
from tests.rtl.model.files import cut, delete, header_edit, recast, refusal_of, tensor_edit

POOL_CASES = {
    "no scales": (delete("pool.shift"), "tensor pool.shift is missing"),
    "no class_token": (
        lambda header, tensors: header.pop("class_token"),
        "header lacks the key 'class_token'",
    ),
    "class_token": (
        header_edit("class_token", 0),
        "class_token must be true or false, not 0",
    ),
    "class_token without position": (
        header_edit("class_token", True),
        "tensor position must have shape 5x16, not 4x16",
    ),
    "tokens": (
        lambda header, tensors: header.update(
            image={"height": 1024, "width": 4, "channels": 1}, patch=1
        ),
        "tokens (patches) must be an integer from 1 to 1024, not 4096",
    ),
    "dtype": (
        recast("pool.multiplier", np.int32),
        "tensor pool.multiplier must be uint32, not int32",
    ),
    "shape": (cut("pool.bias"), "tensor pool.bias must have shape 16, not 15"),
    "multiplier": (
        tensor_edit("pool.multiplier", 2, 1 << 17),
        "tensor pool.multiplier[2] is 131072: it must be 0 to 131071",
    ),
    "shift": (tensor_edit("pool.shift", 0, 0), "tensor pool.shift[0] is 0: it must be 1 to 47"),
    "accumulator": (
        tensor_edit("pool.bias", 9, 4 * 128 - (1 << 26)),
        "pool channel 9: |bias| + 4 patches * 128 is 67108864: it must be less than 67108864 for"
        " an accumulator of 27 bits",
    ),
    "head": (
        tensor_edit("head.bias", 0, (1 << 26) - 1),
        "head row 0: |bias| + sum |weight| * 32 is ",
    ),
}


class TestMeanPooling:
    @pytest.mark.parametrize("class_token", [True, False])
    def test_round_trip(self, path, class_token):
        model = random_model(patch=14, width=16, blocks=[(1, 16)], pool="mean",
                             class_token=class_token)  # fmt: skip
        model.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == model.hash and loaded.shape == model.shape
        assert loaded.class_token is class_token
        assert loaded.header()["pool"] == "mean"
        np.testing.assert_array_equal(loaded.classifier.pool.bias, model.classifier.pool.bias)
        assert loaded.tokens == len(loaded.position) == 4 + class_token
        assert loaded.shape.final_tokens == range(4)

    @pytest.mark.parametrize("name", POOL_CASES)
    def test_refused_by_name(self, pooled, path, name):
        edit, message = POOL_CASES[name]
        assert refusal_of(path, pooled, edit).startswith(message)

    def test_the_largest_bias_is_accepted(self, pooled):
        bias = np.full(16, (1 << 26) - 1 - 4 * 128, np.int32)

        def with_bias(values):
            pool = replace(pooled.classifier.pool, bias=values)
            return replace(pooled, output=replace(pooled.classifier, pool=pool))

        np.testing.assert_array_equal(with_bias(bias).classifier.pool.bias, bias)
        with pytest.raises(UserError, match=r"pool channel 0: .* must be less than 67108864"):
            with_bias(bias + np.int32(1))

    def test_a_class_token_that_nobody_has(self, model):
        with pytest.raises(UserError, match="pool token needs a class token"):
            replace(model, class_token=False)

    def test_repack_keeps_it(self, pooled):
        assert repack(pooled, 16).header()["pool"] == "mean"
