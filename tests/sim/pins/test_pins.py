"""Refusals of the command, in a line each, before it builds anything; and what is good enough."""

from pathlib import Path

import numpy as np
import pytest

from boards.host.accelerator import RunOutput
from rtl.board import load_board
from rtl.cli import command
from rtl.config import ULX3S
from rtl.errors import ToolError
from sim.pins.__main__ import PROG, SCHEMA, PinOptions, main, report, require_good
from sim.pins.outcome import PinOutcome, compile_for
from sim.pins.rates import PinRates
from sim.random_model import random_model
from tests.documented import found, keys, section

COLOUR = Path(__file__).parents[2] / "conformance" / "colour.pulsar"
MODEL, IMAGE = "examples/digits.pulsar", "examples/digit-7.png"


def outcome_of(wrong: int, cycles: float) -> PinOutcome:
    output = RunOutput(np.zeros((2, 10), np.int32), (1000, cycles))
    rates = PinRates(50_000_000, 1000, 900, 12_500_000)
    return PinOutcome(output, rates, wrong, (1000, 1000), 5_000, 1.0)


def refused(capsys, *args):
    assert command(main, prog=PROG, args=tuple(map(str, args))) == 2
    return capsys.readouterr().err


def test_no_image(capsys):
    said = "no image given: name at least one image file after the model"
    assert refused(capsys, MODEL) == f"{PROG}: error: {said}\n"


def test_a_board_without_pins(capsys):
    said = "board 'sim' has no pins here: choose ulx3s"
    assert refused(capsys, MODEL, IMAGE, "--board", "sim") == f"{PROG}: error: {said}\n"


def test_a_model_that_memory_does_not_hold(tmp_path, capsys):
    model = random_model()
    model.save(tmp_path / "large.pulsar")
    said = refused(capsys, tmp_path / "large.pulsar", IMAGE)
    assert said.startswith(f"{PROG}: error: ") and said.count("\n") == 1
    assert "147,456" in said


@pytest.mark.parametrize(
    ("wrong", "cycles", "said"),
    [
        (1, 1000, "the top differs from the golden model"),
        (0, 1011, "cycles differ from the prediction by 1.10%, more than 1%: look for"),
        (0, 989, "cycles differ from the prediction by 1.10%, more than 1%: look for"),
    ],
)
def test_what_is_an_error(wrong, cycles, said):
    with pytest.raises(ToolError, match=f"^{said}"):
        require_good(outcome_of(wrong, cycles))


def test_a_deviation_within_one_percent_is_good():
    require_good(outcome_of(0, 1009.9))


def test_the_page_names_every_figure():
    _, package = compile_for(COLOUR, load_board("ulx3s"), ULX3S)
    options = PinOptions(COLOUR, (Path(IMAGE),))
    figures = report(options, package, outcome_of(0, 1000), 7_000, 2.0)
    assert set(found(figures, keys("Pins"))) == keys("Pins")
    assert f"| `schema` | {SCHEMA} |" in section("Pins")
