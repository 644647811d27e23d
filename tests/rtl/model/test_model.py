"""The integer model's file: round trip, determinism, and the text of every refusal."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from rtl.errors import UserError
from rtl.model import IntegerModel, repack
from rtl.model import file as model_file
from sim.random_model import random_model

SIZES = {
    "image": (8, 8, 1),
    "patch": 4,
    "width": 16,
    "head_dim": 8,
    "blocks": [(2, 24), (1, 16)],
    "classes": 3,
    "row_granularity": 8,
}


@pytest.fixture(scope="module")
def model():
    return random_model(**SIZES, seed=1)


@pytest.fixture(scope="module")
def pooled():
    """The mean of four patches, without class token."""
    return random_model(**SIZES, pool="mean", class_token=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pulsar"


def refusal(path):
    """The message of a file that does not load, without its path."""
    with pytest.raises(UserError) as error:
        IntegerModel.load(path)
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def refusal_of(path, model, edit):
    """The message after ``edit(header, tensors)``, with a hash that fits."""
    header, tensors = model.header(), {n: t.copy() for n, t in model.tensors().items()}
    edit(header, tensors)
    model_file.write(path, header, tensors)
    return refusal(path)


def write_header(path, text, tensors=None):
    path.write_bytes(save(tensors or {"a": np.zeros(1, np.int8)}, metadata={"pulsar": text}))


class TestRoundTrip:
    def test_equal_content(self, model, path):
        model.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == model.hash and len(model.hash) == 64
        assert loaded.header() == model.header()
        assert loaded.shape == model.shape
        for name, tensor in model.tensors().items():
            np.testing.assert_array_equal(loaded.tensors()[name], tensor, strict=True)

    def test_equal_bytes(self, model, path, tmp_path):
        model.save(path)
        IntegerModel.load(path).save(tmp_path / "b.pulsar")
        assert path.read_bytes() == (tmp_path / "b.pulsar").read_bytes()

    def test_order_of_tensors_does_not_matter(self, model, path, tmp_path):
        header, tensors = model.header(), model.tensors()
        model_file.write(path, header, tensors)
        shuffled = dict(sorted(header.items(), reverse=True))
        model_file.write(
            tmp_path / "b.pulsar", shuffled, dict(sorted(tensors.items(), reverse=True))
        )
        assert path.read_bytes() == (tmp_path / "b.pulsar").read_bytes()

    def test_hash_follows_the_page(self, model, path):
        """docs/format.md, step by step."""
        import hashlib

        text = json.dumps(model.header(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        data = text.encode()
        for name, tensor in sorted(model.tensors().items()):
            shape = "x".join(map(str, tensor.shape))
            data += f"{name}:{tensor.dtype}:{shape}".encode() + tensor.tobytes()
        assert model.hash == hashlib.sha256(data).hexdigest()

    def test_any_info_and_names(self, model, path):
        info = {"ä": [1, 2.5, None, True], "2": {"10": 1}, "tuple": (1, 2), "keys": {2: 0, 10: 0}}
        changed = replace(model, info=info, class_names=("null", "größe", "日本"))
        changed.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == changed.hash
        assert loaded.info["tuple"] == [1, 2] and loaded.info["keys"] == {"2": 0, "10": 0}
        assert loaded.class_names == changed.class_names

    def test_views_in_other_memory_orders(self, model, path):
        weight = np.asfortranarray(model.head.weight)
        replace(model, head=replace(model.head, weight=weight)).save(path)
        assert IntegerModel.load(path).hash == model.hash

    def test_shape(self, model):
        shape = model.shape
        assert (shape.tokens, shape.width, shape.classes) == (5, 16, 3)
        assert shape.blocks[1].heads == 1 and shape.blocks[0].hidden == 24
        wide = dict(shape.blocks[0].wide)
        assert list(wide) == ["q", "k", "v", "proj", "fc1", "fc2"]
        assert len(wide["fc1"]) == 3 and sum(wide["fc1"]) == 1
        assert len(shape.head_wide) == 1

    def test_loaded_tensors_are_read_only(self, model, path):
        model.save(path)
        with pytest.raises(ValueError, match="read-only"):
            IntegerModel.load(path).position[0, 0] = 1

    def test_failed_write_leaves_the_old_file(self, model, path):
        path.write_text("old")
        with pytest.raises(UserError, match="header cannot be written as JSON: Out of range"):
            replace(model, info={"a": float("nan")}).save(path)
        assert path.read_text() == "old" and len(list(path.parent.iterdir())) == 1


class TestDamagedFiles:
    def test_absent(self, path, tmp_path):
        assert refusal(path) == "no such file"
        assert refusal(tmp_path) == "not a file"

    @pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 200, -1])
    def test_truncated(self, model, path, kept):
        model.save(path)
        path.write_bytes(path.read_bytes()[:kept])
        assert refusal(path).startswith("truncated, or not an integer model (")

    def test_other_file(self, path):
        path.write_text("a text file that is long enough to hold a header")
        assert refusal(path).startswith("truncated, or not an integer model (")

    @pytest.mark.parametrize("length", [0, 1 << 20, 1 << 40, (1 << 64) - 1])
    def test_absurd_header_length(self, model, path, length):
        model.save(path)
        path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
        assert refusal(path).startswith("truncated, or not an integer model (")

    def test_safetensors_without_our_header(self, path):
        path.write_bytes(save({"a": np.zeros(1, np.int8)}))
        assert refusal(path) == "not an integer model: it has no 'pulsar' header"

    def test_every_altered_byte_of_the_data_is_noticed(self, model, path):
        model.save(path)
        data = path.read_bytes()
        rng = np.random.default_rng(0)
        start = 8 + struct.unpack("<Q", data[:8])[0]
        for position in rng.integers(start, len(data), 50):
            altered = bytearray(data)
            altered[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(altered)
            assert refusal(path).startswith("altered since it was written: its content does not")

    def test_altered_header(self, model, path):
        model.save(path)
        data = path.read_bytes()
        assert data.count(b'\\"patch\\":4') == 1
        path.write_bytes(data.replace(b'\\"patch\\":4', b'\\"patch\\":2'))
        assert refusal(path).startswith("altered since it was written")

    def test_random_damage_never_gives_another_error(self, model, path):
        model.save(path)
        data = path.read_bytes()
        rng = np.random.default_rng(1)
        start = 8 + struct.unpack("<Q", data[:8])[0]
        for _ in range(200):
            altered = bytearray(data)
            altered[rng.integers(start)] = int(rng.integers(256))
            path.write_bytes(altered)
            try:
                IntegerModel.load(path)
            except UserError as error:
                assert "\n" not in str(error)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "header is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
            ("{", "header is not valid JSON: Expecting property name"),
            ('{"format": NaN}', "header is not valid JSON: NaN is not a JSON number"),
            ("[" * 100_000, "header is not valid JSON: "),
            ('{"format": ' + "9" * 5000 + "}", "header is not valid JSON: Exceeds the limit"),
            ("[1]", "header must be a JSON object, not [1]"),
            ("{}", "format must be 1, not None"),
            ('{"format": "1"}', "format must be 1, not '1'"),
            ('{"format": true}', "format must be 1, not True"),
            ('{"format": 0}', "format must be 1, not 0"),
            ('{"format": 2}', "format 2 is newer than 1, the highest that this version reads"),
            ('{"format": 1}', "altered since it was written"),
            ('{"format": 1, "producer": "\\ud800"}', "header cannot be written as JSON"),
        ],
    )
    def test_headers(self, path, text, message):
        write_header(path, text)
        assert refusal(path).startswith(message)

    def test_dtype_that_the_format_does_not_have(self, path):
        write_header(path, '{"format": 1}', {"x": np.zeros(2, np.float16)})
        assert refusal(path) == "tensor 'x' has dtype F16: choose one of I8, U8, I16, I32, U32"


def header_edit(*keys_and_value):
    *keys, last, value = keys_and_value

    def edit(header, tensors):
        for key in keys:
            header = header[key]
        header[last] = value

    return edit


def tensor_edit(name, index, value):
    def edit(header, tensors):
        tensors[name][index] = value

    return edit


def delete(name):
    return lambda header, tensors: tensors.pop(name)


def add(name):
    return lambda header, tensors: tensors.update({name: np.zeros(1, np.int8)})


def recast(name, dtype):
    return lambda header, tensors: tensors.update({name: tensors[name].astype(dtype)})


def cut(name):
    return lambda header, tensors: tensors.update({name: tensors[name][:-1]})


def narrow_row(name):
    """A 4-bit row with a weight that needs 8."""

    def edit(header, tensors):
        tensors[f"{name}.bits"][:] = 4
        tensors[f"{name}.weight"][:] = 0
        tensors[f"{name}.weight"][1, 2] = 8

    return edit


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
}


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
        np.testing.assert_array_equal(loaded.pool.bias, model.pool.bias)
        assert loaded.tokens == len(loaded.position) == 4 + class_token
        assert loaded.shape.final_tokens == range(4)

    @pytest.mark.parametrize("name", POOL_CASES)
    def test_refused_by_name(self, pooled, path, name):
        edit, message = POOL_CASES[name]
        assert refusal_of(path, pooled, edit).startswith(message)

    def test_the_largest_bias_is_accepted(self, pooled):
        bias = np.full(16, (1 << 26) - 1 - 4 * 128, np.int32)
        kept = replace(pooled, pool=replace(pooled.pool, bias=bias))
        np.testing.assert_array_equal(kept.pool.bias, bias)
        with pytest.raises(UserError, match=r"pool channel 0: .* must be less than 67108864"):
            replace(pooled, pool=replace(pooled.pool, bias=bias + np.int32(1)))

    def test_a_class_token_that_nobody_has(self, model):
        with pytest.raises(UserError, match="pool token needs a class token"):
            replace(model, class_token=False)

    def test_repack_keeps_it(self, pooled):
        assert repack(pooled, 16).header()["pool"] == "mean"


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
        head = model.head
        largest = max(-model.norm.range(6)[0], model.norm.range(6)[1])
        room = (1 << 26) - 1 - int(np.abs(head.weight[1].astype(int)).sum()) * largest

        def with_bias(value):
            bias = head.bias.copy()
            bias[1] = value
            return replace(model, head=replace(head, bias=bias))

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
            replace(model, head=replace(model.head, residual_shift=1))


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
