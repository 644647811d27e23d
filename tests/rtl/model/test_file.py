"""The integer model's file: round trip, determinism, hash, and the refusal of damaged files."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from rtl.errors import UserError
from rtl.model import IntegerModel
from rtl.model import file as model_file
from tests.rtl.model.files import refusal, write_header

PAGE = Path(__file__).parents[3] / "docs" / "format.md"


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
        embed = replace(model.embed, weight=np.asfortranarray(model.embed.weight))
        replace(model, embed=embed).save(path)
        assert IntegerModel.load(path).hash == model.hash

    def test_shape(self, model):
        shape = model.shape
        assert (shape.tokens, shape.width, shape.classes) == (5, 16, 3)
        assert shape.blocks[1].heads == 1 and shape.blocks[0].hidden == 24
        bits8 = dict(shape.blocks[0].bits8)
        assert list(bits8) == ["q", "k", "v", "proj", "fc1", "fc2"]
        assert len(bits8["fc1"]) == 3 and sum(bits8["fc1"]) == 1
        assert len(shape.head_bits8) == 1

    def test_loaded_tensors_are_read_only(self, model, path):
        model.save(path)
        with pytest.raises(ValueError, match="read-only"):
            IntegerModel.load(path).position[0, 0] = 1

    def test_failed_write_leaves_the_old_file(self, model, path):
        path.write_text("old")
        with pytest.raises(UserError, match="header cannot be written as JSON: Out of range"):
            replace(model, info={"a": float("nan")}).save(path)
        assert path.read_text() == "old" and len(list(path.parent.iterdir())) == 1


def test_the_worked_example_of_the_page():
    """docs/format.md shows a header, two tensors and their hash."""
    page = PAGE.read_text(encoding="utf-8")
    (header,) = re.findall(r'^ {4}(\{"format".*)$', page, re.M)
    (digest,) = re.findall(r"^ {4}([0-9a-f]{64})$", page, re.M)
    tensors = {
        "position": np.array([[1, -2]], np.int16),
        "embed.shift": np.array([7], np.uint8),
    }
    assert model_file.canonical_json(json.loads(header)) == header
    assert model_file.content_hash(json.loads(header), tensors) == digest


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
            ('{"a": Infinity}', "header is not valid JSON: Infinity is not a JSON number"),
            (
                '{"format": 1, "a": {"b": 1, "b": 1}}',
                "header is not valid JSON: the key 'b' occurs twice in one object",
            ),
            ("[1]", "header must be a JSON object, not [1]"),
            ("{}", "format must be 1 to 4, not None"),
            ('{"format": "1"}', "format must be 1 to 4, not '1'"),
            ('{"format": true}', "format must be 1 to 4, not True"),
            ('{"format": 0}', "format must be 1 to 4, not 0"),
            ('{"format": 5}', "format 5 is newer than 4, the highest that this version reads"),
            ('{"format": 1}', "altered since it was written"),
            ('{"format": 1, "producer": "\\ud800"}', "header cannot be written as JSON"),
        ],
    )
    def test_headers(self, path, text, message):
        write_header(path, text)
        assert refusal(path).startswith(message)

    def test_dtype_that_the_format_does_not_have(self, path):
        write_header(path, '{"format": 1}', {"x": np.zeros(2, np.float16)})
        assert refusal(path) == "tensor 'x' has dtype F16: choose one of I8, U8, I16, I32, U32, F32"
