"""Calibration files: damaged and old ones, what has changed since, and those of the package."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.cost import calibration, records
from nas.cost.calibration import Calibration, find
from nas.cost.records import Errors, PowerModel
from rtl.board import board_names, load_board
from rtl.config import TINY
from rtl.config import engine as engine_of
from rtl.errors import UserError
from rtl.files import sha256_of
from rtl.resources.model import ResourceModel
from sim import testbench

NETWORKS = 45  # that the command measures
UTILIZATION = Path(__file__).parents[2] / "rtl" / "build" / "flat.rpt"


@pytest.fixture
def known():
    found = find(load_board("sim"))
    assert found is not None
    return found


def of_package(board):
    assert board.calibration is not None
    return Calibration.load(board.calibration)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(schema_version=1), "calibration of version 1, expected 2"),
        (lambda data: data.pop("latency"), "latency: field required"),
        (lambda data: data["latency"].update(ranges=3), "latency.ranges"),
        (lambda data: data["latency"].update(coefficients={}), "extra inputs are not permitted"),
        (lambda data: data["latency"]["ranges"].pop("width"), "latency.ranges lacks 'width'"),
        (lambda data: data["latency"]["held_out"][0].pop("rtl"), "held_out.0.rtl: field required"),
        (lambda data: data["resources"]["model"].pop("costs"), "damaged: 'costs'"),
        (
            lambda data: data["resources"]["model"]["costs"]["norm"]["lut"].popitem(),
            "'norm' has other features than this version .*\\): run python -m nas.calibrate again$",
        ),
    ],
)
def test_damaged_and_old_files(known, tmp_path, change, message):
    file = tmp_path / "sim.calibration.json"
    known.save(file)
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        Calibration.load(file)
    with pytest.raises(UserError) as refused:
        Calibration.load(file)
    assert str(refused.value).count("run python -m nas.calibrate again") == 1
    file.write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Calibration.load(file)


def test_nothing_has_changed(known):
    assert known.outdated(load_board("sim")) == [] and known.warning(load_board("sim")) is None


def test_what_has_changed_since_is_said(known, monkeypatch):
    """Another program, other cycles of the same program, other resources, another engine."""
    board = load_board("sim")
    monkeypatch.setattr(calibration, "predicted", lambda sample, engine: ("0" * 16, 1))
    assert known.outdated(board) == ["other programs of the compiler"]

    def later(sample, engine):
        program, cycles = records.predicted(sample, engine)
        return program, cycles + 1

    monkeypatch.setattr(calibration, "predicted", later)
    assert known.outdated(board) == ["another timing model"]
    predict = ResourceModel.predict
    monkeypatch.setattr(
        ResourceModel, "predict", lambda self, engine: predict(self, engine) + predict(self, engine)
    )
    said = str(known.warning(board))
    assert "was made with another timing model and another resource model: its errors may" in said
    assert said.endswith("python -m nas.calibrate --board sim renews it")
    other = replace(engine_of("tiny"), queue_depth=4)
    monkeypatch.setattr(calibration.config, "engine", lambda name: other)
    assert known.outdated(board) == ["another engine"]


def test_imported_counts_do_not_make_it_outdated(known):
    model = replace(known.resource_model, scales={"engine": {"lut": 2.0}}, reference="vivado")
    resources = known.resources.model_copy(update={"model": model.to_json()})
    scaled = known.model_copy(update={"resources": resources})
    assert scaled.outdated(load_board("sim")) == []


def test_counts_of_vivado_are_predicted_for_their_engine(known):
    assert known.imports() == []
    found = known.with_utilization(TINY, UTILIZATION)
    assert found.resource_model.predict(TINY).lut == 141_234
    assert found.imports() == ["utilization"]
    assert found.latency == known.latency and found.resources.errors == known.resources.errors


def test_imported_reports_outlive_a_new_calibration_and_its_file(known, tmp_path):
    power = PowerModel(joules_per_product=1e-12)
    refined = known.with_utilization(TINY, UTILIZATION).model_copy(update={"power": power})
    assert refined.imports() == ["utilization", "power"]
    renewed = known.with_imports(refined)
    assert renewed.power == refined.power == power
    assert renewed.resource_model == refined.resource_model
    renewed.save(tmp_path / "sim.calibration.json")
    kept = Calibration.load(tmp_path / "sim.calibration.json")
    assert (kept.power, kept.resource_model) == (power, refined.resource_model)


@pytest.mark.parametrize("board", board_names())
def test_calibrations_of_the_package(board):
    """Each is whole, of its board's engine, and as good as the docs say; nothing has changed."""
    board = load_board(board)
    found, engine = of_package(board), engine_of(board.engine)
    assert found.latency.engine_hash == f"{engine.hash:016x}"
    errors, resources = found.latency.errors, found.resources.errors
    assert errors.mape < 0.001 and errors.max < 0.007 and errors.tau > 0.99
    assert resources.lut < 0.03 and resources.ff < 0.03 and resources.dsp == resources.bram == 0
    again = Errors.of(found.latency.held_out)
    assert errors.model_dump() == pytest.approx(again.model_dump()) and errors.n == NETWORKS
    assert found.outdated(board, errors.n) == []
    assert found.resource_model.predict(engine).lut > 0


@pytest.mark.calibrated
@pytest.mark.sim
@pytest.mark.parametrize("board", board_names())
def test_the_verilog_is_that_of_the_package(board):
    """Minutes for board zcu102, but for the cache."""
    board = load_board(board)
    verilog = testbench.generate(engine_of(board.engine), tap=False)[0]
    assert of_package(board).latency.verilog == sha256_of(verilog)[:16]
