"""Formats: a file is written in the lowest one that holds it, and read as what it says."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from rtl.errors import UserError
from rtl.model import HostNetwork, IntegerModel
from rtl.model.decode import decode
from sim.random_model import random_model
from tests.rtl.model.files import SIZES, cut, delete, header_edit, refusal_of, tensor_edit

ROOT = Path(__file__).parents[3]
WRITTEN = [
    ROOT / "examples/digits.pulsar",
    *sorted((ROOT / "tests/conformance").glob("*.pulsar")),
]


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_files_keep_their_bytes(file, tmp_path):
    IntegerModel.load(file).save(tmp_path / "a.pulsar")
    assert (tmp_path / "a.pulsar").read_bytes() == file.read_bytes()


def test_the_example_is_of_format_1():
    model = IntegerModel.load(WRITTEN[0])
    assert model.format == model.header()["format"] == 1


@pytest.mark.parametrize("key", ["output", "registers", "host"])
def test_format_1_does_not_have_the_keys_of_format_2(model, path, key):
    message = refusal_of(path, model, header_edit(key, "logits"))
    assert message == f"header has an unknown key '{key}'"


@pytest.mark.parametrize("key", ["margin", "pad"])
def test_nor_those_of_preprocessing(model, path, key):
    message = refusal_of(path, model, header_edit("preprocessing", key, None))
    assert message == f"header.preprocessing has an unknown key '{key}'"


def test_format_2_asks_for_its_keys(path):
    model = random_model(**SIZES, registers=1)
    for key in ("output", "registers"):
        message = refusal_of(path, model, lambda header, tensors, key=key: header.pop(key))
        assert message == f"header lacks the key '{key}'"
    for key in ("margin", "pad"):
        message = refusal_of(
            path, model, lambda header, tensors, key=key: header["preprocessing"].pop(key)
        )
        assert message == f"header.preprocessing lacks the key '{key}'"


def test_a_higher_format_than_needed(model, path):
    def edit(header, tensors):
        header |= {"format": 2, "output": "logits", "registers": 0}
        header["preprocessing"] |= {"margin": "floor", "pad": None}

    assert refusal_of(path, model, edit) == (
        "format is 2, but nothing in it needs more than format 1: it must be 1"
    )


def test_format_3_asks_for_its_key(path):
    model = random_model(**SIZES, front=True)
    assert model.format == 3 and not {"output", "registers"} - set(model.header())
    message = refusal_of(path, model, lambda header, tensors: header.pop("front"))
    assert message == "header lacks the key 'front'"
    message = refusal_of(path, model, header_edit("format", 2))
    assert message == "header has an unknown key 'front'"


def test_format_3_without_anything_that_needs_it(path):
    def edit(header, tensors):
        header |= {"format": 3, "front": None}

    message = refusal_of(path, random_model(**SIZES, registers=1), edit)
    assert message == "format is 3, but nothing in it needs more than format 2: it must be 2"


def test_format_4_has_the_keys_of_format_3(path):
    model = random_model(**SIZES, keep={0: 2})
    assert model.format == 4 and not {"output", "registers", "front"} - set(model.header())
    assert [block.get("keep") for block in model.header()["blocks"]] == [2, None]
    message = refusal_of(path, model, header_edit("format", 3))
    assert message == "blocks.0 has an unknown key 'keep'"
    message = refusal_of(path, model, lambda header, tensors: header["blocks"][0].pop("keep"))
    assert message == "format is 4, but nothing in it needs more than format 1: it must be 1"
    message = refusal_of(path, model, header_edit("blocks", 0, "keep", None))
    assert message == "blocks.0.keep must be an integer from 1 to 65536, not None"
    model.save(path)
    assert IntegerModel.load(path).hash == model.hash


FRONT_CASES = {
    "no object": (header_edit("front", 1), "header.front must be an object, not 1"),
    "no norm": (header_edit("front", {}), "header.front lacks the key 'norm'"),
    "more": (header_edit("front", "bias", 1), "header.front has an unknown key 'bias'"),
    "gain": (
        header_edit("front", "norm", "gain", 1),
        "front.norm.gain must be an integer from 32768 to 65535, not 1",
    ),
    "no exponent": (delete("front.norm.exponent"), "tensor front.norm.exponent is missing"),
    "no rows": (cut("front.weight"), "tensor front.weight must have shape 16x16, not 15x16"),
    "no front": (
        header_edit("front", None),
        "does not belong to this model",
    ),
    "bound": (
        tensor_edit("front.bias", 3, 1 << 26),
        "front row 3: |bias| + sum |weight| * 63 is",
    ),
}


@pytest.mark.parametrize("edit, message", FRONT_CASES.values(), ids=FRONT_CASES)
def test_what_is_wrong_in_front_of_the_blocks(path, edit, message):
    model = random_model(**SIZES, front=True, seed=3)
    assert message in refusal_of(path, model, edit)


def places(value, path=()):
    """Every place in a header, its keys and list indices."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*path, key)
        if isinstance(value[key], dict | list) and key != "info":
            yield from places(value[key], (*path, key))


@pytest.mark.parametrize(
    "more", [{"pool": "mean", "class_token": False}, {"pool": "all", "keep": {0: 3}}], ids=str
)
@pytest.mark.parametrize("value", [None, [], {}, "x", -1, 1.5, True, 1 << 70, [1, "a"]], ids=str)
def test_any_value_anywhere_is_accepted_or_refused_in_one_line(value, more):
    model = random_model(**SIZES, output="tokens", registers=1, two_tables=True, front=True, **more)
    model = replace(
        model,
        output=replace(model.output, host=HostNetwork("a.onnx", "0" * 64)),
        preprocessing=replace(model.preprocessing, resize=(9, 10), margin="even", pad=3),
    )
    written, tensors = model.header(), model.tensors()
    for place in places(written):
        if place == ("format",):  # the file's business
            continue
        header = deepcopy(written)
        inner = header
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        try:
            loaded = IntegerModel(**decode(header, tensors))
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert loaded.header() == header, place
