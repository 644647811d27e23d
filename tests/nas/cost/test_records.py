"""Records of a calibration: errors, ranges, held-out networks."""

import numpy as np
import pytest

from nas.cost.records import (
    SIZES,
    Errors,
    HeldOut,
    LatencyRecord,
    extrapolates,
    predicted,
    sizes_in_ranges,
)
from nas.cost.subnets import sample_subnets
from rtl.board import load_board
from rtl.config import ENGINES, TINY


def test_networks_beyond_the_ranges_are_named():
    sample = sample_subnets(load_board("sim"), ENGINES["tiny"], 1, seed=0)[0]
    shape, memory = sample.shape, sample.memory
    known = {name: (value, value) for name, value in sizes_in_ranges(shape, memory).items()}
    assert extrapolates(known, shape, memory) == []
    for low, high in ((1, 2), (5000, 6000)):
        said = extrapolates(known | {"width": (low, high)}, shape, memory)
        assert said == [f"width {shape.width} outside {low} to {high}"]
    assert extrapolates(known | {"latency_cycles": (0, 0)}, shape, memory) == [
        f"latency_cycles {memory.latency_cycles} outside 0 to 0"
    ]


def test_errors_by_hand():
    """One network predicted 10 % too slow, one 20 % too fast; ranks are right."""
    pairs = ((110, 100), (160, 200))
    errors = Errors.of([HeldOut(predicted=n, rtl=rtl, program="") for n, rtl in pairs])
    assert (errors.n, errors.tau) == (2, 1)
    assert (errors.mape, errors.max) == pytest.approx((0.15, 0.2))
    assert errors.bias == pytest.approx(-0.05)


def test_ranks_that_differ():
    """Of six pairs of networks, the last two networks are the wrong way round."""
    pairs = ((110, 100), (200, 200), (300, 400), (390, 300))
    errors = Errors.of([HeldOut(predicted=n, rtl=rtl, program="") for n, rtl in pairs])
    assert errors.tau == pytest.approx(4 / 6)
    assert Errors.of([HeldOut(predicted=1, rtl=1, program="")]).tau == 1


def test_a_record_of_networks_against_made_up_cycles():
    """One cycle more than predicted."""
    samples = sample_subnets(load_board("sim"), TINY, 3, seed=0)
    cycles = [predicted(sample, TINY)[1] for sample in samples]
    rows = [HeldOut.of(sample, TINY, n + 1) for sample, n in zip(samples, cycles, strict=True)]
    record = LatencyRecord.of(TINY, "0" * 16, {}, rows)
    assert [row.predicted for row in record.held_out] == cycles
    assert record.errors == Errors.of(rows)
    assert record.errors.bias == pytest.approx(np.mean([-1 / (n + 1) for n in cycles]))
    assert record.ranges.keys() == set(SIZES)
    tokens = [sample.shape.tokens for sample in samples]
    assert record.ranges["tokens"] == (min(tokens), max(tokens))
    assert HeldOut.model_validate_json(rows[0].model_dump_json()) == rows[0]


def test_a_networks_program_has_a_hash_of_its_own():
    samples = sample_subnets(load_board("sim"), TINY, 3, seed=0)
    assert len({predicted(sample, TINY)[0] for sample in samples}) == 3
