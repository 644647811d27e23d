"""The nearest designs that reach a frame rate: fewer 8-bit rows, other engines, another clock."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.cost import HardwareTarget
from nas.cost import estimate as estimates
from nas.cost.estimate import extrapolated
from nas.cost.feasible import (
    NetworkDesign,
    candidate_engines,
    clock_needed,
    fits,
    lower_precision,
    other_engine,
)
from nas.cost.networks import NamedNetwork
from rtl.board import load_board
from rtl.build.synthesis import Resources
from rtl.config import ENGINES, ULX3S, ZCU102, ZCU102_A4, ZCU102_A8

DIGITS = NamedNetwork(str(Path(__file__).parents[3] / "examples" / "digits.pulsar"))
DEIT_TINY = NamedNetwork("deit_tiny")
WIDE_PORT = """
name = "wide"
device = "verilator"
clock_hz = 100_000_000
engine = "TINY"

[memory]
gigabytes_per_second = 100.0
latency_cycles = 20
ports = 4
port_bits = 128
"""


@pytest.fixture
def wide(tmp_path) -> HardwareTarget:
    """Board sim with memory that TINY cannot exhaust."""
    path = tmp_path / "wide.toml"
    path.write_text(WIDE_PORT)
    return HardwareTarget.load(str(path), "tiny")


def test_the_highest_fraction_of_8_bit_rows_that_reaches_the_target(zcu102):
    fps = 800
    design = lower_precision(NamedNetwork("deit_tiny", 0.5), zcu102, fps)
    assert design.reaches(fps) and 0 < design.network.bits8 < 0.5
    more = replace(design.network, bits8=design.network.bits8 + 0.05)
    assert not NetworkDesign.of(more, zcu102).reaches(fps)


def test_fewer_8_bit_rows_do_not_always_help(zcu102):
    design = lower_precision(NamedNetwork("deit_tiny", 0.1), zcu102, 2_000)
    assert design.network.bits8 == 0 and not design.reaches(2_000)
    assert lower_precision(DEIT_TINY, zcu102, 2_000) is None
    assert lower_precision(DIGITS, HardwareTarget.load("sim"), 1e6) is None


def test_candidates_for_a_board_have_its_multipliers(monkeypatch):
    """ULX3S is made of other ones than the ZCU102 has, and the ZCU102 has no UltraRAM."""
    monkeypatch.setattr(estimates, "resources_of", lambda engine, board: None)
    engines = candidate_engines(load_board("zcu102"))
    zcu102 = {"tiny", "zcu102", "zcu102_a4", "zcu102_a8"}
    assert {engine.name for engine in engines} == zcu102 | {"kv260_bram"}
    assert candidate_engines(load_board("ulx3s")) == [ULX3S]


def test_candidates_have_room_as_far_as_it_is_known(monkeypatch):
    def known(engine, board):
        return Resources(lut=300_000 if engine is ZCU102_A4 else 200_000)

    monkeypatch.setattr(estimates, "resources_of", known)
    engines = candidate_engines(load_board("zcu102"))
    assert ZCU102_A4 not in engines and ZCU102_A8 in engines


def test_the_first_engine_that_reaches_the_target(wide):
    """Of the package: the board has neither limits nor a calibration."""
    fps = 1.2 * NetworkDesign.of(DIGITS, wide).estimate.frames_per_second
    design = other_engine(DIGITS, wide, fps).design
    assert design is not None and design.reaches(fps)
    assert design.estimate.engine == ZCU102
    found = other_engine(DIGITS, wide, 1e9)
    assert not found.design.reaches(1e9)
    assert found.reason and "an engine search needs a board with limits" in found.reason


def test_an_engine_sized_to_the_network(zcu102):
    """The package has none but the board's own with its act_bits that reaches the rate."""
    found = other_engine(DEIT_TINY, zcu102, 600)
    engine, hardware = found.design.estimate.engine, found.design.estimate.hardware
    assert engine not in ENGINES.values() and engine.act_bits == zcu102.engine.act_bits
    assert fits(engine, zcu102.board) and not extrapolated(engine, zcu102.board)
    exact = NetworkDesign.of(DEIT_TINY, hardware).estimate
    assert found.design.reaches(600) and found.design.estimate.cycles == exact.cycles
    assert engine.products < zcu102.engine.products


def test_the_fastest_engine_where_none_reaches_the_target(zcu102):
    found = other_engine(DIGITS, zcu102, 1e9)
    rate = found.design.estimate.frames_per_second
    assert found.reason is None
    assert rate >= other_engine(DIGITS, zcu102, 10_000).design.estimate.frames_per_second


def test_no_engine_for_what_none_can_run(zcu102):
    found = other_engine(NamedNetwork("vit_huge_patch14_224"), zcu102, 1)
    assert found.design is None
    assert found.reason and "width: 1,280 needed, 1,024 available" in found.reason


def test_the_slowest_clock_that_reaches_the_target(deit_tiny):
    clock = clock_needed(deit_tiny, 1_500)
    assert clock and deit_tiny.at(clock).frames_per_second >= 1_500
    assert deit_tiny.at(clock - 1_000_000).frames_per_second < 1_500


def test_no_clock_helps_where_memory_does_not_suffice(digits):
    assert 1.6e9 / digits.work.bytes < 15_000
    assert clock_needed(digits, 15_000) is None
