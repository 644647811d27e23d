"""The resource models of the boards' calibrations, against what Yosys counted."""

import json
from dataclasses import asdict, replace

import pytest

from nas.cost.calibration import find
from rtl.board import load_board
from rtl.build.synthesis import NOTHING, Resources, Utilization
from rtl.config import ZCU102, EngineConfig
from rtl.errors import UserError
from rtl.resources import structure
from rtl.resources.model import ResourceModel
from tests.rtl.sizes import HALVES

HELD = replace(ZCU102, name="other", token_lanes=12, queue_depth=64)


def calibration(board: str):
    found = find(load_board(board))
    assert found
    return found


@pytest.fixture(scope="module")
def model() -> ResourceModel:
    """The model of board zcu102, by Yosys' counts."""
    return replace(calibration("zcu102").resource_model, reference="yosys", scales={})


@pytest.mark.parametrize("board", ["sim", "ulx3s", "zcu102"])
def test_engines_that_the_fit_never_saw(board):
    """DSPs and block memories exactly, LUTs and flip-flops within some percent."""
    found = calibration(board)
    model = replace(found.resource_model, reference="yosys", scales={})
    assert len(found.resources.held_out) >= 10
    for row in found.resources.held_out:
        predicted, counted = model.predict(EngineConfig(**row["engine"])), row["yosys"]
        assert (predicted.dsp, predicted.bram36) == (counted["dsp"], counted["bram36"])
        assert predicted.lut == pytest.approx(counted["lut"], rel=0.1)
        assert predicted.ff == pytest.approx(counted["ff"], rel=0.1)


def test_units_make_the_engine(model):
    units = model.units(ZCU102)
    assert set(units) == set(structure.BLOCKS)
    total, whole = sum(units.values(), NOTHING), model.predict(ZCU102)
    assert (total.dsp, total.bram36) == (whole.dsp, whole.bram36) == (2475, 647.5)
    assert total.lut == pytest.approx(whole.lut, abs=len(units))
    assert total.ff == pytest.approx(whole.ff, abs=len(units))


def test_sizes_beyond_the_fitted_ones_are_named(model):
    assert model.extrapolates(HELD) == []
    wide = replace(HELD, row_lanes=64, queue_depth=8)
    assert model.extrapolates(wide) == [
        "row_lanes 64 outside 16..32",
        "queue_depth 8 outside 16..128",
    ]


def test_json_keeps_everything(model):
    content = json.loads(json.dumps(model.to_json()))
    assert content["reference"] == "yosys"
    assert set(content["costs"]) == set(structure.MODULES)
    assert ResourceModel.from_json(content) == model
    assert ResourceModel.from_json(content).predict(ZCU102) == model.predict(ZCU102)


def test_a_file_of_another_schema_is_refused(model):
    with pytest.raises(UserError, match=r"^resource model: schema must be 1, not 2$"):
        ResourceModel.from_json(model.to_json() | {"schema": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda costs: costs["norm"]["ff"].pop("lanes"),
            r"other features .* \(lanes\): run python",
        ),
        (lambda costs: costs["norm"]["lut"].update(arms=2.0), "block 'norm' has other features"),
        (lambda costs: costs.update(arm={"lut": {"one": 1.0}}), "block 'arm' has other features"),
        (lambda costs: costs.pop("norm"), "block 'norm' has other features"),
    ],
)
def test_a_file_of_other_features_is_refused(model, change, message):
    content = json.loads(json.dumps(model.to_json()))
    change(content["costs"])
    with pytest.raises(UserError, match=message):
        ResourceModel.from_json(content)


def test_a_flat_report_scales_the_whole(model):
    ours = model.predict(ZCU102)
    report = Resources(ours.dsp, round(ours.lut * 0.8), round(ours.ff * 1.1), ours.bram36)
    refitted = model.refit(ZCU102, report)
    assert refitted.predict(ZCU102) == report
    content = refitted.to_json()
    assert content["reference"] == "vivado"
    assert content["scales"]["engine"] == pytest.approx(
        {"dsp": 1, "lut": 0.8, "ff": 1.1, "bram36": 1, "uram": 1}, rel=1e-4
    )
    assert ResourceModel.from_json(content) == refitted
    # Another engine is scaled alike, and reports do not add up with earlier ones.
    other = HELD
    assert refitted.predict(other).lut == pytest.approx(0.8 * model.predict(other).lut, rel=1e-4)
    assert refitted.refit(ZCU102, report).predict(ZCU102) == report


def test_hierarchical_reports_scale_unit_by_unit(model):
    units = model.units(ZCU102)
    units["norm"] = Resources(units["norm"].dsp, units["norm"].lut // 2, units["norm"].ff, 0)
    report = Utilization(sum(units.values(), NOTHING), units, {})
    refitted = model.refit(ZCU102, report)
    found = refitted.units(ZCU102)
    assert all(abs(found[name].lut - used.lut) <= 1 for name, used in units.items())  # rounded
    assert {name: replace(used, lut=units[name].lut) for name, used in found.items()} == units
    same, before = refitted.units(HELD)["matmul"], model.units(HELD)["matmul"]
    assert asdict(same) == pytest.approx(asdict(before), abs=1)
    assert refitted.units(HELD)["norm"].lut < 0.51 * model.units(HELD)["norm"].lut


def test_a_report_without_a_unit_is_refused(model):
    with pytest.raises(UserError, match=r"^report on engine 'zcu102' has no unit 'control'$"):
        model.refit(ZCU102, Utilization(NOTHING, {}, {}))


def test_parts_of_a_word_cost_less():
    """Words in two parts halve the lanes of softmax."""
    for board, engine in (("ulx3s", HALVES), ("zcu102", replace(ZCU102, softmax_parts=2))):
        found = calibration(board).resource_model
        whole = replace(engine, softmax_parts=1, norm_parts=1)
        assert found.units(engine)["softmax"].lut < found.units(whole)["softmax"].lut
        assert found.units(engine)["softmax"].dsp < found.units(whole)["softmax"].dsp
