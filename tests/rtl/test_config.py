"""Engine sizes are checked where they are stated."""

import json
from dataclasses import asdict, replace

import pytest

from rtl.config import ENGINES, TINY, ULX3S, ZCU102, engine
from rtl.errors import UserError


def test_products_per_cycle():
    assert TINY.products == 512
    assert ZCU102.products == 9216


def test_words():
    assert TINY.granules == 2
    assert TINY.weight_word_bytes == 64
    assert ZCU102.parameter_word_bytes == 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"act_bits": 5}, "act_bits must be 4, 6 or 8, not 5"),
        ({"token_lanes": 3}, "token_lanes must be even and between 2 and 32, not 3"),
        ({"row_lanes": 24}, "row_lanes must be a power of two between 4 and 64, not 24"),
        ({"depth_lanes": 32}, "depth_lanes must be a power of two between 4 and row_lanes = 16"),
        ({"multiplier": "dsp58"}, "multiplier must be dsp48e2 or mult18x18, not 'dsp58'"),
        ({"score_words": 1}, "score_words must be between 2 and 16384, not 1"),
        ({"score_slots": 5}, "score_slots must be between 2 and 4, not 5"),
        ({"softmax_parts": 4}, "softmax_parts must be a power of two, at most granules = 2, not 4"),
        ({"norm_parts": 0}, "norm_parts must be a power of two, at most granules = 2, not 0"),
        ({"queue_depth": 12}, "queue_depth must be a power of two, at least 2, not 12"),
        ({"memory_bytes": 24}, "memory_bytes must be 4, 8, 16, 32 or 64, not 24"),
        ({"memory_bytes": 4}, "memory_bytes must be between depth_lanes = 8 and the narrowest"),
        (
            {"row_lanes": 8, "memory_bytes": 64},
            "memory_bytes must be between depth_lanes = 8 and"
            " the narrowest word's 32 bytes, not 64",
        ),
        (
            {"row_lanes": 4, "depth_lanes": 4},
            "memory_bytes must be between depth_lanes = 4 and the narrowest word's 8 bytes, not 16",
        ),
        (
            {"uram": ("weights", "keys")},
            "uram must be some of activations, pixels, keys, values, scores, residual, weights,"
            " parameters, exponents, in this order, not ('weights', 'keys')",
        ),
        (
            {"uram": ["caches"], "act_bits": 8},
            "uram must be some of activations, pixels, keys, values, scores, residual, weights,"
            " parameters, exponents, in this order, not ('caches',)",
        ),
        (
            {"uram": ("weights",), "multiplier": "mult18x18"},
            "uram must be empty with multiplier 'mult18x18', not ('weights',)",
        ),
    ],
)
def test_an_impossible_size_is_named(changes, message):
    with pytest.raises(UserError) as error:
        replace(TINY, **changes)
    assert str(error.value).startswith(f"engine 'tiny': {message}")


def test_the_hash_is_of_the_sizes():
    assert len({each.hash for each in ENGINES.values()}) == len(ENGINES)
    assert replace(TINY, name="other").hash == TINY.hash
    assert replace(TINY, queue_depth=8).hash != TINY.hash


def test_the_hash_tells_parts_apart():
    """And engines without parts do not mention them, as before there were any."""
    engines = [replace(TINY, **{name: 2}) for name in ("softmax_parts", "norm_parts")]
    assert len({TINY.hash, *(each.hash for each in engines)}) == 3
    assert TINY.hash == 0x464E4718478C8790


def test_the_hash_tells_ultraram_apart():
    """Engines without are as they were: hash, and sizes in JSON."""
    ultra = replace(TINY, uram=["residual", "weights"])
    assert ultra.uram == ("residual", "weights") and ultra.hash != TINY.hash
    assert "uram" not in TINY.to_json() and TINY.to_json()["norm_parts"] == 1
    assert ultra.to_json() == TINY.to_json() | {"uram": ["residual", "weights"]}


def test_lanes_are_a_part_of_a_word():
    narrow = replace(ZCU102, row_lanes=64, softmax_parts=2, norm_parts=4)
    assert (ZCU102.softmax_lanes, ZCU102.norm_lanes) == (32, 32)
    assert (narrow.softmax_lanes, narrow.norm_lanes) == (32, 16)


def test_engines_by_name():
    assert engine("ULX3S") is ULX3S
    with pytest.raises(UserError, match="unknown engine 'zcu106': choose one of tiny, ulx3s, zc"):
        engine("zcu106")


@pytest.mark.parametrize("name", ENGINES)
def test_engines_from_files(name, tmp_path):
    file = tmp_path / "engine.json"
    file.write_text(json.dumps(ENGINES[name].to_json()))
    assert engine(str(file)) == ENGINES[name]


@pytest.mark.parametrize("name", ["tiny.json", "my engine.JSON", "é.Json"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_other_systems(tmp_path, name, mark, end):
    file = tmp_path / name
    text = json.dumps(asdict(TINY), indent=1).replace("\n", end)
    file.write_bytes((mark + text).encode())
    assert engine(str(file)) == TINY


def test_sizes_with_a_default_may_be_missing_in_a_file(tmp_path):
    file = tmp_path / "engine.json"
    sizes = asdict(TINY)
    del sizes["softmax_parts"]
    file.write_text(json.dumps(sizes))
    assert engine(str(file)) == TINY


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 4}, "lanes = 4: no such field"),
        ({"row_lanes": None}, "row_lanes is missing"),
        ({"row_lanes": "16"}, "row_lanes must be a whole number, not '16'"),
        ({"row_lanes": True}, "row_lanes must be a whole number, not True"),
        ({"multiplier": 2}, "multiplier must be a string, not 2"),
        ({"uram": "weights"}, "uram must be a list of names, not 'weights'"),
        ({"name": "a b"}, "name must be a word of letters, digits, _, not 'a b'"),
        ({"row_lanes": 24}, "engine 'tiny': row_lanes must be a power of two between 4 and 64"),
    ],
)
def test_a_wrong_file_is_named(changes, message, tmp_path):
    file = tmp_path / "engine.json"
    sizes = asdict(TINY) | changes
    file.write_text(json.dumps({k: v for k, v in sizes.items() if v is not None}))
    with pytest.raises(UserError) as error:
        engine(str(file))
    assert str(error.value).startswith(f"{file}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not a JSON file: Expecting"), ("[]", "must hold an engine's sizes by name")],
)
def test_a_file_without_sizes_is_named(text, message, tmp_path):
    file = tmp_path / "engine.json"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        engine(str(file))
    assert str(error.value).startswith(f"{file}: {message}")
