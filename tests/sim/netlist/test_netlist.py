"""Refusals of the command, in a line each, before it builds anything."""

from pathlib import Path

import numpy as np
import pytest

from boards.host.accelerator import RunOutput
from rtl.board import load_board
from rtl.cli import command
from rtl.config import ULX3S
from sim.netlist.__main__ import (
    PROG,
    SCHEMA,
    NetlistOptions,
    Simulated,
    main,
    report,
    tables,
)
from sim.pins.outcome import PinOutcome, compile_for
from sim.pins.rates import PinRates
from tests.documented import found, keys, section

MODEL, IMAGE = "examples/digits.pulsar", "examples/digit-7.png"


def run(*args):
    return command(main, prog=PROG, args=tuple(map(str, args)))


def test_a_folder_without_a_netlist(tmp_path, capsys):
    assert run(tmp_path, MODEL, IMAGE) == 2
    said = f"{tmp_path / 'routed.json'} not found: python -m rtl.build --board ulx3s makes it"
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


def test_figures_and_both_rates(tmp_path):
    """The page names every figure; what is printed keeps the engine and the line apart."""
    (tmp_path / "routed.json").write_text("{}")
    model = Path(__file__).parents[2] / "conformance" / "colour.pulsar"
    _, package = compile_for(model, load_board("ulx3s"), ULX3S)
    output = RunOutput(np.zeros((1, 5), np.int32), (1000,))
    rates = PinRates(50_000_000, 1000, 900, 12_500_000)
    outcome = PinOutcome(output, rates, 0, (1000,), 5_000, 1.0)
    options, done = NetlistOptions(tmp_path, model, (Path(IMAGE),)), Simulated(
        outcome, inside=True, wifi_gpio0=1, cycles=70_000, simulated_s=2.0, build_s=1.0
    )  # fmt: skip
    known = keys("Netlist") | keys("Pins") - {"board", "wall_s"}
    assert set(found(report(options, package, done), known)) == known
    assert f"| `schema` | {SCHEMA} |" in section("Netlist")
    assert rates.text() in tables(options, package, done)
