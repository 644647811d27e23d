"""The fit of the resource model to engines whose counts are made up: the truth is known."""

from dataclasses import replace

import pytest

from nas.cost.engines import sample_engines
from nas.cost.records import ResourceErrors
from nas.cost.resource_fit import fit_resources
from rtl.board import load_board
from rtl.build.synthesis import NOTHING, Module, Resources, Utilization
from rtl.errors import UserError
from rtl.resources import structure
from rtl.resources.memories import block_memories
from rtl.resources.structure import dsps

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
    return fit_resources([(engine, counted(engine)) for engine in FIT], "xilinx")


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
    fitted = fit_resources([(small, used), (large, more)], "xilinx")
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


def test_ranges_are_those_of_the_engines(model):
    assert model.ranges["token_lanes"] == (4, 20)
    assert model.ranges["memory_bytes"] == (16, 64)
    assert not any(name.endswith("_words") for name in model.ranges)


def test_nothing_to_fit_to():
    with pytest.raises(UserError, match=r"^a resource model needs at least one engine, not 0$"):
        fit_resources([], "xilinx")
    with pytest.raises(UserError, match=r"^family must be one of xilinx, ecp5, not 'ice40'$"):
        fit_resources([], "ice40")
