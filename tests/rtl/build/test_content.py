"""Exchanged content: what goes in, and what is refused (the tools' part: tests/sim/netlist)."""

import json
from pathlib import Path

import pytest

from rtl.build.content import CONFIG, RECORD, main, placeholder, words_of
from rtl.cli import command
from rtl.compiler.package import package_file, write_package
from rtl.errors import UserError
from rtl.soc.blocks import WORD_BITS

MODEL = Path("examples/digits.pulsar")


def test_words():
    assert words_of(bytes(range(9)), 3) == [int.from_bytes(bytes(range(8)), "little"), 8, 0]
    with pytest.raises(UserError, match=r"^9 bytes do not fit memory of 8$"):
        words_of(bytes(9), 1)


def test_the_placeholder_is_always_the_same_and_its_columns_differ():
    words = placeholder(1024)
    assert words == placeholder(1024) and len(set(words)) == 1024
    columns = {tuple(word >> bit & 1 for word in words[at : at + 512]) for bit in range(WORD_BITS)
               for at in (0, 512)}  # fmt: skip
    assert len(columns) == 2 * WORD_BITS


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "digits.package"
    write_package(package_file(MODEL, "ulx3s", None), path)
    return path


def run(folder, package):
    return command(main, prog="content", args=(str(folder), str(package)))


def test_another_folder_is_refused(tmp_path, package, capsys):
    assert run(tmp_path, package) == 2
    said = f"{tmp_path} is no folder of a bitstream: python -m rtl.build --board ulx3s makes one"
    assert capsys.readouterr().err == f"content: error: {said}\n"


def test_a_package_for_another_engine_is_refused(tmp_path, package, capsys):
    (tmp_path / CONFIG).write_text("")
    (tmp_path / RECORD).write_text(json.dumps({"engine": "00", "words": 9216}))
    assert run(tmp_path, package) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"content: error: {package} is for engine ")
    assert said.endswith("the bitstream holds 00: package it for that one\n")
