"""The package: round trip, determinism, and a line for each way to be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from boards.host.errors import UserError
from boards.host.meaning import FeatureMeaning, LogitMeaning
from boards.host.package import CHECK, PREFIX, Package, decode
from rtl.board import load_board
from rtl.compiler import compile_model
from rtl.compiler.package import package_of
from rtl.config import TINY
from sim import golden
from sim.random_model import random_model
from tests.boards.host.networks import selecting

PAGE = (Path(__file__).parents[3] / "docs" / "package.md").read_text(encoding="utf-8")


def packaged(**sizes):
    compiled = compile_model(random_model(patch=14, width=16, blocks=((1, 16),), **sizes), TINY)
    return package_of(compiled, load_board("sim"), TINY, "small.pulsar", golden.run)


@pytest.fixture(scope="module")
def logits():
    return packaged(classes=3)


@pytest.fixture(scope="module")
def tokens():
    return packaged(output="tokens")


def header_of(data: bytes) -> dict:
    return json.loads(data[PREFIX.size : PREFIX.size + PREFIX.unpack_from(data)[2]])


def refusal(data: bytes) -> str:
    with pytest.raises(UserError) as error:
        decode(data)
    message = str(error.value)
    assert "\n" not in message
    return message


def signed(data: bytes) -> bytes:
    """Put the right CRC-32 behind an altered file."""
    import zlib

    return data[: -CHECK.size] + CHECK.pack(zlib.crc32(data[: -CHECK.size]))


@pytest.fixture(scope="module")
def pooled():
    return packaged(output="tokens", pool="attention")


@pytest.fixture(scope="module")
def indexed():
    return selecting().package


@pytest.mark.parametrize("kind", ["logits", "tokens", "pooled", "indexed"])
def test_round_trip(kind, request, tmp_path):
    package: Package = request.getfixturevalue(kind)
    (tmp_path / "a").write_bytes(package.encode())
    read = Package.load(tmp_path / "a")
    assert read.encode() == package.encode()
    assert read.region == package.region and read.engine_hash == package.engine_hash
    indexed = getattr(read.meaning, "index_column", None) == 16
    assert indexed == (read.indices is not None) == (kind == "indexed")
    assert read.preprocessing == package.preprocessing and read.board == package.board
    assert type(read.meaning) is (LogitMeaning if kind == "logits" else FeatureMeaning)
    np.testing.assert_array_equal(read.sample, package.sample)
    np.testing.assert_array_equal(read.expected, package.expected)


@pytest.mark.parametrize("column", [15, 32])
def test_a_column_of_indices_that_cannot_be(column, indexed):
    told = b'"index_column": 16'
    wrong = indexed.encode().replace(told, told.replace(b"16", str(column).encode()))
    assert f"output.index_column must be an integer from 16 to 31, not {column}" in refusal(
        signed(wrong)
    )


def test_equal_to_the_byte(logits):
    assert packaged(classes=3).encode() == logits.encode()


def test_the_lowest_format_that_holds_a_network(logits, tokens, pooled, indexed):
    """Attention pooling needs format 2, an index for each token needs format 3."""
    packages = (logits, tokens, pooled, indexed)
    assert [PREFIX.unpack_from(each.encode())[1] for each in packages] == [1, 1, 2, 3]
    assert (pooled.meaning.epsilon, pooled.meaning.tokens) == (None, 1)
    assert pooled.output_bytes == 32 and pooled.expected.shape == (1, 16)


def test_sections_are_aligned_and_the_page_names_every_key(logits, tokens, indexed):
    for package in (logits, tokens, indexed):
        header = header_of(package.encode())
        for name, place in header["sections"].items():
            assert place["offset"] % 64 == 0 and f"`{name}`" in PAGE
        for key in header:
            assert f"`{key}" in PAGE
        for key in (*header["memory"], *header["output"], *header["board"]):
            assert key in PAGE


def test_every_flipped_bit_is_found(logits):
    data = logits.encode()
    generator = np.random.default_rng(0)
    for bit in generator.integers(0, 8 * len(data), 300).tolist():
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserError):
            decode(bytes(flipped))


def test_refusals(logits, tmp_path):
    data = logits.encode()
    assert refusal(b"").startswith("not a package: write one with")
    assert refusal(b"PK" + data).startswith("not a package")
    assert refusal(data[:-1]).startswith("damaged: its CRC-32 is wrong")
    assert refusal(PREFIX.pack(b"PULSARPK", 4, 0) + data).startswith("format is 4, this driver")
    lacking = signed(data.replace(b'"producer"', b'"producex"'))
    assert refusal(lacking) == "not a package of format 1: lacks 'producer'"
    first = PREFIX.size + PREFIX.unpack_from(data)[2]
    altered = bytearray(data)
    altered[first] ^= 1
    assert "CRC-32 of section region is wrong" in refusal(signed(bytes(altered)))
    with pytest.raises(UserError, match="absent: no such file"):
        Package.load(tmp_path / "absent")
    with pytest.raises(UserError, match="not a file"):
        Package.load(tmp_path)
