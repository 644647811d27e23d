"""Stages of a calibration: which networks and engines they take, and how units are compared."""

from dataclasses import replace

import pytest

from nas.calibrate import CalibrateOptions
from nas.cost import calibration_run
from nas.cost.calibration_run import SEED_FIT, SEED_QUICK, CalibrationRun
from nas.cost.engines import corner_engines, sample_engines
from nas.cost.records import SEED_HELD_OUT
from nas.cost.subnets import sample_subnets
from rtl.board import board_names, load_board
from rtl.compiler import lower, plan
from rtl.config import TINY
from rtl.timing import simulate
from rtl.timing.latencies import unit_latencies


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr(CalibrationRun, "_build", lambda self, tap: None)
    monkeypatch.setattr(calibration_run.measurements, "rtl_points", lambda *args, **kwargs: [])
    return CalibrationRun(load_board("sim"), tmp_path, tmp_path / "modules.txt", 1)


@pytest.mark.parametrize("board", board_names())
def test_no_fit_sees_the_engines_that_it_is_compared_with(board):
    board, options = load_board(board), CalibrateOptions()
    engines = sample_engines(board, options.fit_engines, SEED_FIT) + corner_engines(board)
    fitted = {replace_name(engine) for engine in engines}
    for seed in (SEED_HELD_OUT, SEED_QUICK):
        others = sample_engines(board, options.engines, seed)
        assert not fitted & {replace_name(engine) for engine in others}


def replace_name(engine):
    return replace(engine, name="")


def test_a_quick_check_has_networks_of_its_own():
    board = load_board("sim")
    held_out, quick = (
        {sample.shape for sample in sample_subnets(board, TINY, 45, seed)}
        for seed in (SEED_HELD_OUT, SEED_QUICK)
    )
    assert not held_out & quick


def test_networks_are_those_of_the_held_out_seed(run, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        calibration_run, "sample_subnets", lambda *args: seeds.append(args[-1]) or []
    )
    monkeypatch.setattr(CalibrationRun, "_values", lambda self, *args: [])
    run.networks(3)
    assert seeds == [SEED_HELD_OUT]


def test_lateness_by_unit_from_the_predicted_end(run, monkeypatch):
    """Every instruction that writes does so three cycles after its end; LOADs five."""
    sample = sample_subnets(load_board("sim"), TINY, 1, seed=0)[0]
    program = lower(plan(sample.shape, TINY))
    ends = simulate(program, sample.memory, unit_latencies(TINY)).ends
    last = [
        end + (5 if operation.opcode.name == "LOAD" else 3) if operation.unit is not None else None
        for operation, end in zip(program.operations, ends, strict=True)
    ]
    last[-2] = None  # an instruction that writes nothing
    monkeypatch.setattr(CalibrationRun, "_values", lambda self, *args: [last])
    units = run.units([sample])
    assert {name: unit["median"] for name, unit in units.items()} == {
        "load": 5, "matmul": 3, "norm": 3, "softmax": 3,
    }  # fmt: skip
    assert all(unit["spread"] == 0 for unit in units.values())
