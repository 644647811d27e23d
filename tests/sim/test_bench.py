"""``python -m sim.bench``: figures of a real run, the trace, and what it refuses."""

import json
from pathlib import Path

import pytest

from rtl.cli import command
from rtl.compiler import plan
from rtl.config import TINY
from rtl.isa.instructions import Unit
from rtl.model import IntegerModel
from rtl.timing.bound import least_array_cycles
from sim import runner
from sim.bench import main

PROG = "python -m sim.bench"
DIGITS = Path(__file__).parents[2] / "examples" / "digits.pulsar"


def run(*args: object) -> int:
    return command(main, prog=PROG, args=[str(arg) for arg in args])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Figures and trace of three images on TINY."""
    folder = tmp_path_factory.mktemp("bench")
    paths = folder / "figures.json", folder / "trace.json"
    code = run(
        "--model", DIGITS, "--board", "sim", "--images", 3, "--bytes-per-cycle", 16,
        "--json", paths[0], "--trace", paths[1],
    )  # fmt: skip
    assert code == 0
    return [json.loads(path.read_text()) for path in paths]


@pytest.mark.sim
def test_figures_agree_with_each_other(files):
    figures, _ = files
    assert figures["bit_exact"] and figures["first_mismatch"] is None
    assert figures["cycles_per_image"] < figures["cycles"]  # images overlap
    shape = IntegerModel.load(DIGITS).shape
    assert figures["bound_cycles"] == least_array_cycles(plan(shape, TINY))
    assert figures["efficiency"] == figures["bound_cycles"] / figures["cycles_per_image"] < 1
    assert figures["predicted_cycles"] == pytest.approx(figures["cycles_per_image"], rel=0.01)
    assert figures["fps"]["100"] == pytest.approx(100e6 / figures["cycles_per_image"])
    assert figures["busy"]["matmul"] == pytest.approx(3 * figures["bound_cycles"], rel=0.05)
    assert 0 < figures["macs_per_dsp_cycle"] < 4
    assert set(figures["stalls"]) == {unit.name.lower() for unit in Unit}


@pytest.mark.sim
def test_trace_has_every_instruction_of_every_image(files):
    _, trace = files
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    by_image = [[s for s in slices if s["args"]["image"] == image] for image in range(3)]
    assert len(by_image[0]) == len(by_image[1]) == len(by_image[2]) == len(slices) // 3
    numbers = sorted(event["args"]["instruction"] for event in by_image[0])
    assert numbers == list(range(1, len(numbers) + 1))  # BEGIN is 0, END has no unit
    for unit in Unit:
        lane = [event for event in slices if event["tid"] == unit]
        ends = [event["ts"] + event["dur"] for event in lane]
        assert all(end <= later["ts"] for end, later in zip(ends, lane[1:], strict=False))
    tensors = {event["name"].split(" ")[0] for event in slices if event["cat"] == "fc1"}
    assert "blocks.0.hidden" in tensors


@pytest.mark.sim
def test_cycles_by_kind_are_those_of_the_trace(files):
    figures, trace = files
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    softmax = sum(event["dur"] for event in slices if event["tid"] == Unit.SOFTMAX)
    assert sum(figures["by_kind"]["softmax"].values()) == softmax


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0"], "--images must be from 1 to 1000, not 0"),
        (["--latency", "70000"], "--latency must be from 1 to 65535 cycles, not 70000"),
        (["--bytes-per-cycle", "0"], "--bytes-per-cycle must be from 0.01 to below 256, not 0"),
        (["--w8", "1.5"], "the fraction of 8-bit rows must be from 0 to 1, not 1.5"),
        (["--model", "deit_huge"], "no model 'deit_huge': choose one of deit_tiny"),
        (["--model", str(DIGITS), "--w8", "0.5"], "--w8 is for the named models"),
        (["--model", str(DIGITS), "--keep", "0:9"], "--keep is for the named models"),
        (["--keep", "3:143"], "blocks.3 keeps 143 of 196 patches: engine 'zcu102' selects none"),
        (["--keep", "3:197"], "blocks.3.keep is 197: it must be an integer from 1 to 196"),
    ],
)
def test_mistakes(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(runner, "run", None)  # nothing may be simulated
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
