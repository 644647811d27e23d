"""Refusals of the command, in a line each, before it builds anything."""

import pytest

from rtl.cli import command
from sim.netlist.__main__ import PROG, main

MODEL, IMAGE = "examples/digits.pulsar", "examples/digit-7.png"


def run(*args):
    return command(main, prog=PROG, args=tuple(map(str, args)))


def test_a_folder_without_a_netlist(tmp_path, capsys):
    assert run(tmp_path, MODEL, IMAGE) == 2
    said = f"{tmp_path / 'routed.json'} not found: python -m rtl.build --bitstream makes it"
    assert capsys.readouterr().err == f"{PROG}: error: {said}\n"


def test_no_image(tmp_path, capsys):
    assert run(tmp_path, MODEL) == 2
    said = "no image given: name at least one image file after the model"
    assert capsys.readouterr().err == f"{PROG}: error: {said}\n"


@pytest.mark.parametrize("flip", ["table", "table:x"])
def test_a_flip_that_is_no_bit(tmp_path, capsys, flip):
    (tmp_path / "routed.json").write_text(
        '{"creator": "x", "modules": {"a": {"ports": {}, "cells": {}, "netnames": {}}}}'
    )
    assert run(tmp_path, MODEL, IMAGE, "--flip", flip) == 2
    assert capsys.readouterr().err == f"{PROG}: error: --flip {flip}: must be CELL:BIT\n"
