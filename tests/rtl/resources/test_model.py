"""The model against engines whose counts are made up, so that the truth is known."""

import json
from dataclasses import replace

import pytest

from nas.cost.engines import sample_engines
from nas.cost.records import ResourceErrors
from rtl.board import load_board
from rtl.build.synthesis import NOTHING, Module, Resources, Utilization
from rtl.config import ZCU102
from rtl.errors import UserError
from rtl.resources import structure
from rtl.resources.dsps import dsps
from rtl.resources.memories import block_memories
from rtl.resources.model import ResourceModel

BOARD = load_board("zcu102")
FIT, HELD = sample_engines(BOARD, 60, seed=1), sample_engines(BOARD, 10, seed=2)


def counted(engine):
    """As if the n-th feature of a block cost n + 1 LUTs and 2 n flip-flops."""
    modules, units = {}, dict.fromkeys(structure.BLOCKS, NOTHING)
    for unit, block, features in structure.blocks(engine, "xilinx"):
        lut = sum((n + 1) * size for n, size in enumerate(features.values()))
        ff = sum(2 * n * size for n, size in enumerate(features.values()))
        prefix = structure.MODULES[block][0]
        name = f"bank_{unit}" if block == "bank" else prefix.removesuffix(".") + ".part"
        is_shared = prefix.endswith("_")
        instances = 2 if is_shared else 1
        own = Resources(lut=round(lut / instances), ff=round(ff / instances))
        modules[name if is_shared else f"pulsar_x.{prefix}x"] = Module(instances, own)
        units[unit] += own * instances
    for unit, dsp in dsps(engine, "xilinx").items():
        units[unit] += Resources(dsp=dsp)
    for unit, bram36 in block_memories(engine, "xilinx").items():
        units[unit] += Resources(bram36=bram36)
    total = sum(units.values(), NOTHING)
    return Utilization(total, {f"pulsar_x.{name}": used for name, used in units.items()}, modules)


@pytest.fixture(scope="module")
def model():
    return ResourceModel.fit([(engine, counted(engine)) for engine in FIT], "xilinx")


def test_held_out_engines(model):
    errors = ResourceErrors.of(model, [(engine, counted(engine)) for engine in HELD])
    assert errors.n == 10
    assert errors.dsp == errors.bram == 0
    assert errors.lut_mean <= errors.lut < 0.002
    assert errors.ff_mean <= errors.ff < 0.002


def test_a_small_engine_counts_as_much_as_a_large_one():
    """What a fit keeps low are relative errors: here of two engines, one with counts doubled."""
    small, large = (replace(HELD[0], token_lanes=lanes) for lanes in (4, 20))
    less, more = counted(small), counted(large)
    double = {name: Module(2 * part.instances, part.own) for name, part in less.modules.items()}
    used = replace(less, total=less.total * 2, modules=double)
    fitted = ResourceModel.fit([(small, used), (large, more)], "xilinx")
    assert fitted.predict(small).lut > 0.7 * used.total.lut
    assert fitted.predict(large).lut < 1.2 * more.total.lut


def test_errors_tell_what_is_wrong(model):
    first, second = HELD[:2]
    ours, exact = model.predict(first), model.predict(second)
    wrong = Resources(ours.dsp + 1, ours.lut * 2, ours.ff * 4, ours.bram36)
    counts = [(first, Utilization(wrong, {}, {})), (second, Utilization(exact, {}, {}))]
    errors = ResourceErrors.of(model, counts)
    assert (errors.lut, errors.lut_mean) == (0.5, 0.25)
    assert (errors.ff, errors.ff_mean) == (0.75, 0.375)
    assert (errors.dsp, errors.bram, errors.n) == (1, 0, 2)


def test_units_make_the_engine(model):
    units = model.units(ZCU102)
    assert set(units) == set(structure.BLOCKS)
    total, whole = sum(units.values(), NOTHING), model.predict(ZCU102)
    assert (total.dsp, total.bram36) == (whole.dsp, whole.bram36) == (2475, 647)
    assert total.lut == pytest.approx(whole.lut, abs=len(units))
    assert total.ff == pytest.approx(whole.ff, abs=len(units))


def test_sizes_beyond_the_fitted_ones_are_named(model):
    assert model.extrapolates(HELD[0]) == [] == model.extrapolates(FIT[0])
    wide = replace(HELD[0], row_lanes=64, queue_depth=8)
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
    refitted = model.refit([(ZCU102, report)])
    assert refitted.predict(ZCU102) == report
    content = refitted.to_json()
    assert content["reference"] == "vivado"
    assert content["scales"]["engine"] == pytest.approx(
        {"dsp": 1, "lut": 0.8, "ff": 1.1, "bram36": 1}, rel=1e-4
    )
    assert ResourceModel.from_json(content) == refitted
    # Another engine is scaled alike, and reports do not add up with earlier ones.
    other = HELD[0]
    assert refitted.predict(other).lut == pytest.approx(0.8 * model.predict(other).lut, rel=1e-4)
    assert refitted.refit([(ZCU102, report)]).predict(ZCU102) == report


def test_hierarchical_reports_scale_unit_by_unit(model):
    units = model.units(ZCU102)
    units["norm"] = Resources(units["norm"].dsp, units["norm"].lut // 2, units["norm"].ff, 0)
    report = Utilization(sum(units.values(), NOTHING), units, {})
    refitted = model.refit([(ZCU102, report)])
    assert refitted.units(ZCU102) == units
    assert refitted.units(HELD[0])["matmul"] == model.units(HELD[0])["matmul"]
    assert refitted.units(HELD[0])["norm"].lut < 0.51 * model.units(HELD[0])["norm"].lut


def test_a_report_without_a_unit_is_refused(model):
    with pytest.raises(UserError, match=r"^report on engine 'zcu102' has no unit 'control'$"):
        model.refit([(ZCU102, Utilization(NOTHING, {}, {}))])


def test_nothing_to_fit_to(model):
    with pytest.raises(UserError, match=r"^a resource model needs at least one engine, not 0$"):
        ResourceModel.fit([], "xilinx")
    with pytest.raises(UserError, match=r"^no reports to scale a resource model to$"):
        model.refit([])
    with pytest.raises(UserError, match=r"^family must be one of xilinx, ecp5, not 'ice40'$"):
        ResourceModel.fit([], "ice40")
