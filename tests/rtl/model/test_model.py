"""The integer model's content: the text of every refusal, and repacking."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.errors import UserError
from rtl.model import repack
from tests.rtl.model.files import (
    add,
    cut,
    delete,
    header_edit,
    narrow_row,
    recast,
    refusal_of,
    tensor_edit,
)

CASES = {
    "unknown key": (header_edit("colour", 1), "header has an unknown key 'colour'"),
    "missing key": (
        lambda header, tensors: header.pop("patch"),
        "header lacks the key 'patch'",
    ),
    "missing inner key": (
        lambda header, tensors: header["blocks"][1]["norm2"].pop("gain"),
        "blocks.1.norm2 lacks the key 'gain'",
    ),
    "list for object": (header_edit("norm", []), "header.norm must be an object, not []"),
    "object for list": (header_edit("blocks", {}), "header.blocks must be a list, not {}"),
    "no blocks": (header_edit("blocks", []), "tensor 'blocks.0.fc1.bias' does not belong"),
    "pool": (header_edit("pool", "max"), "pool must be one of token, mean, not 'max'"),
    "pool type": (header_edit("pool", ["mean"]), "pool must be one of token, mean, not ['mean']"),
    "class_token beside pool token": (
        header_edit("class_token", True),
        "header has an unknown key 'class_token'",
    ),
    "scales beside pool token": (add("pool.bias"), "tensor 'pool.bias' does not belong to this"),
    "act_bits": (header_edit("act_bits", 5), "act_bits must be one of 4, 6, 8, not 5"),
    "boolean": (
        header_edit("patch", True),
        "patch must be an integer from 1 to 65536, not True",
    ),
    "float": (header_edit("width", 16.0), "width must be an integer from 1 to 1024, not 16.0"),
    "width": (header_edit("width", 1025), "width must be an integer from 1 to 1024, not 1025"),
    "absurd": (
        header_edit("image", "height", 10**30),
        "image.height must be an integer from 1 to 65536, not 1" + "0" * 30,
    ),
    "head_dim": (
        header_edit("head_dim", 512),
        "head_dim must be an integer from 1 to 511, not 512",
    ),
    "patches": (
        header_edit("patch", 3),
        "image of 8x8 pixels is not a whole number of patches of 3",
    ),
    "tokens": (
        lambda header, tensors: header.update(
            image={"height": 1024, "width": 4, "channels": 1}, patch=1
        ),
        "tokens (patches and class token) must be an integer from 2 to 1024, not 4097",
    ),
    "heads": (
        header_edit("blocks", 0, "heads", 0),
        "blocks.0.heads must be an integer from 1 to 65536, not 0",
    ),
    "softmax entries": (
        header_edit("blocks", 0, "softmax", "multiplier", [1]),
        "blocks.0.softmax.multiplier must have 2 entries, not 1",
    ),
    "softmax multiplier": (
        header_edit("blocks", 0, "softmax", "multiplier", [1, 0]),
        "blocks.0.softmax.multiplier[1] must be an integer from 1 to 131071, not 0",
    ),
    "context multiplier": (
        header_edit("blocks", 0, "context", "multiplier", [32767, 40000]),
        "blocks.0.context.multiplier[0] must be an integer from 32768 to 65535, not 32767",
    ),
    "context shift": (
        header_edit("blocks", 1, "context", "shift", [29]),
        "blocks.1.context.shift[0] must be an integer from 0 to 28, not 29",
    ),
    "epsilon": (
        header_edit("norm", "epsilon", 0),
        "norm.epsilon must be an integer from 1 to 4294967295, not 0",
    ),
    "gain": (
        header_edit("blocks", 0, "norm1", "gain", 65536),
        "blocks.0.norm1.gain must be an integer from 32768 to 65535, not 65536",
    ),
    "signed zero point": (
        lambda header, tensors: header["norm"].update(signed=True, zero=3),
        "norm.zero must be an integer from 0 to 0, not 3",
    ),
    "signed": (header_edit("norm", "signed", 1), "norm.signed must be true or false, not 1"),
    "residual shift": (
        header_edit("embed", "residual_shift", 16),
        "embed.residual_shift must be an integer from 0 to 15, not 16",
    ),
    "output scale": (
        header_edit("output_scale", 0),
        "output_scale must be a positive number, not 0",
    ),
    "class names": (
        header_edit("class_names", ["a"]),
        "class_names must have 3 entries, not 1",
    ),
    "class name": (
        header_edit("class_names", ["a", "b", 3]),
        "class_names[2] must be text, not 3",
    ),
    "info": (header_edit("info", [1]), "info must be an object, not [1]"),
    "crop": (
        header_edit("preprocessing", "crop", [8, 9]),
        "preprocessing gives (8, 9) pixels of mode L, the network takes",
    ),
    "crop type": (
        header_edit("preprocessing", "crop", [8.0, 8]),
        "preprocessing.crop must be an integer from 1 to 65536, not 8.0",
    ),
    "resize": (
        header_edit("preprocessing", "resize", 7),
        "preprocessing.resize must be an integer from 8 to 4096, not 7",
    ),
    "interpolation": (
        header_edit("preprocessing", "interpolation", "cubic"),
        "preprocessing.interpolation must be one of bilinear, bicubic, not 'cubic'",
    ),
    "mode": (
        header_edit("preprocessing", "mode", ["L"]),
        "preprocessing.mode must be one of L, RGB, not ['L']",
    ),
    "missing tensor": (delete("blocks.0.q.bias"), "tensor blocks.0.q.bias is missing"),
    "unknown tensor": (add("blocks.2.x"), "tensor 'blocks.2.x' does not belong to this model"),
    "tensor dtype": (
        recast("embed.bias", np.int16),
        "tensor embed.bias must be int32, not int16",
    ),
    "tensor shape": (
        cut("blocks.1.proj.weight"),
        "tensor blocks.1.proj.weight must have shape 16x8, not 15x8",
    ),
    "position shape": (cut("position"), "tensor position must have shape 5x16, not 4x16"),
    "shift": (
        tensor_edit("head.shift", 1, 48),
        "tensor head.shift[1] is 48: it must be 1 to 47",
    ),
    "multiplier": (
        tensor_edit("blocks.0.k.multiplier", 3, 1 << 17),
        "tensor blocks.0.k.multiplier[3] is 131072: it must be 0 to 131071",
    ),
    "exponent": (
        tensor_edit("blocks.0.norm2.exponent", 15, 4),
        "tensor blocks.0.norm2.exponent[15] is 4: it must be 0 to 3",
    ),
    "gelu": (tensor_edit("blocks.0.gelu", 255, 64), "tensor blocks.0.gelu[255] is 64: it must be"),
    "bits": (
        tensor_edit("blocks.0.fc1.bits", 7, 6),
        "tensor blocks.0.fc1.bits[7] is 6: it must be 4 or 8",
    ),
    "4-bit weight": (
        narrow_row("blocks.0.fc2"),
        "tensor blocks.0.fc2.weight[1, 2] is 8: a 4-bit weight must be -8 to 7",
    ),
    "accumulator": (
        tensor_edit("blocks.1.fc1.bias", 9, (1 << 26) - 1),
        "blocks.1.fc1 row 9: |bias| + sum |weight| * ",
    ),
    "negative bias": (
        tensor_edit("embed.bias", 0, -(1 << 31)),
        "embed row 0: |bias| + sum |weight| * 255 is ",
    ),
    "norm zero point": (
        lambda header, tensors: header["norm"].update(signed=False, zero=64),
        "norm.zero must be an integer from 0 to 63, not 64",
    ),
    "hidden code's zero point": (
        lambda header, tensors: header["blocks"][0]["hidden_code"].update(signed=True, zero=1),
        "blocks.0.hidden_code.zero must be an integer from 0 to 0, not 1",
    ),
    "hidden code's largest zero point": (
        lambda header, tensors: header["blocks"][0]["hidden_code"].update(signed=False, zero=64),
        "blocks.0.hidden_code.zero must be an integer from 0 to 63, not 64",
    ),
    "class names are no list": (
        header_edit("class_names", "abc"),
        "header.class_names must be a list, not 'abc'",
    ),
    "number in quotes": (
        header_edit("classes", "3"),
        "classes must be an integer from 1 to 65536, not '3'",
    ),
    "output scale in quotes": (
        header_edit("output_scale", "1"),
        "output_scale must be a positive number, not '1'",
    ),
    "truth value as output scale": (
        header_edit("output_scale", True),
        "output_scale must be a positive number, not True",
    ),
    "truth value as a number": (
        header_edit("preprocessing", "invert", 0),
        "preprocessing.invert must be true or false, not 0",
    ),
    "two channels": (
        header_edit("image", "channels", 2),
        "preprocessing gives (8, 8) pixels of mode L, the network takes",
    ),
    "resize too large": (
        header_edit("preprocessing", "resize", 4097),
        "preprocessing.resize must be an integer from 8 to 4096, not 4097",
    ),
    "hidden": (
        header_edit("blocks", 1, "hidden", 0),
        "blocks.1.hidden must be an integer from 1 to 65536, not 0",
    ),
}


class TestContent:
    @pytest.mark.parametrize("name", CASES)
    def test_refused_by_name(self, model, path, name):
        edit, message = CASES[name]
        assert refusal_of(path, model, edit).startswith(message)

    def test_mixed_widths_in_a_tile(self, model, path):
        def edit(header, tensors):
            tensors["blocks.0.q.bits"][:] = 8
            tensors["blocks.0.q.bits"][11] = 4
            tensors["blocks.0.q.weight"][11] = 0

        assert refusal_of(path, model, edit) == (
            "tensor blocks.0.q.bits[11] is 4, but row 8 of its tile has 8:"
            " 8 rows (row_granularity) share a width"
        )

    def test_accumulator_limit_is_exact(self, model):
        output, head = model.classifier, model.classifier.head
        largest = max(-output.norm.range(6)[0], output.norm.range(6)[1])
        room = (1 << 26) - 1 - int(np.abs(head.weight[1].astype(int)).sum()) * largest

        def with_bias(value):
            bias = head.bias.copy()
            bias[1] = value
            return replace(model, output=replace(output, head=replace(head, bias=bias)))

        with_bias(room)
        with_bias(-room)
        for value in (room + 1, -room - 1):
            with pytest.raises(UserError) as error:
                with_bias(value)
            assert str(error.value) == (
                f"head row 1: |bias| + sum |weight| * {largest} is 67108864:"
                " it must be less than 67108864 for an accumulator of 27 bits"
            )

    def test_residual_shift_where_nothing_is_added(self, model):
        with pytest.raises(UserError, match=r"head.residual_shift must be an integer from 0 to 0"):
            head = replace(model.classifier.head, residual_shift=1)
            replace(model, output=replace(model.classifier, head=head))


class TestRepack:
    def test_widens_whole_tiles_and_keeps_integers(self, model):
        packed = repack(model, 16)
        for name, linear in packed.linears().items():
            before = model.linears()[name]
            np.testing.assert_array_equal(linear.weight, before.weight)
            for start in range(0, linear.rows, 16):
                tile = slice(start, start + 16)
                assert set(linear.bits[tile].tolist()) == {int(before.bits[tile].max())}
            assert linear.residual_shift == before.residual_shift

    def test_smaller_tiles_change_no_width(self, model):
        packed = repack(model, 4)
        for name, linear in packed.linears().items():
            np.testing.assert_array_equal(linear.bits, model.linears()[name].bits)

    @pytest.mark.parametrize("rows", [0, 1025, 2.0])
    def test_absurd_granularity(self, model, rows):
        with pytest.raises(UserError, match=f"row_granularity must be .* not {rows}"):
            repack(model, rows)
