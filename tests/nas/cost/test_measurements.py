"""Keys of a calibration's measurements: what makes each of them be measured again."""

from dataclasses import replace

import pytest

from nas.cost import measurements
from nas.cost.measurements import rtl_points, simulation_hash
from nas.cost.records import predicted
from nas.cost.subnets import sample_subnets
from rtl.board import load_board
from rtl.build.synthesis import Module, Resources, Utilization
from rtl.config import TINY

BOARD = load_board("sim")


@pytest.fixture
def sources(monkeypatch, tmp_path):
    """Verilog of a made-up engine and a made-up memory, to be changed."""
    names = {name: tmp_path / name for name in ("engine.v", "testbench.sv", *measurements.MEMORY)}
    for name, file in names.items():
        file.write_text(name)
    generated = [names["engine.v"], names["testbench.sv"]]
    monkeypatch.setattr(measurements.testbench, "generate", lambda engine, tap: generated)
    monkeypatch.setattr(measurements.testbench, "HARDWARE", tmp_path)
    return names


KINDS = ("network", "speed", "writes")


@pytest.mark.parametrize("kind", KINDS)
def test_what_decides_a_network_of_the_rtl(kind, sources, monkeypatch):
    sample = sample_subnets(BOARD, TINY, 1, seed=0)[0]

    def key(sample=sample):
        [point] = rtl_points(kind, [sample], BOARD, TINY)
        return point.key

    first = key()
    assert first == key()
    memory = replace(sample.memory, latency_cycles=sample.memory.latency_cycles + 1)
    assert key(replace(sample, memory=memory)) != first
    program, cycles = predicted(sample, TINY)
    monkeypatch.setattr(measurements, "predicted", lambda *_: (program, cycles + 1))
    assert key() == first  # the timing model does not matter
    monkeypatch.setattr(measurements, "predicted", lambda *_: ("another program", cycles))
    assert key() != first


def test_kinds_of_measurements_have_keys_of_their_own(sources):
    samples = sample_subnets(BOARD, TINY, 1, seed=0)
    assert len({rtl_points(kind, samples, BOARD, TINY)[0].key for kind in KINDS}) == 3


@pytest.mark.parametrize("name", ["engine.v", "testbench.sv", "memory.sv", "memory.cpp"])
def test_what_decides_a_simulation(name, sources):
    before = simulation_hash(TINY, tap=False)
    sources[name].write_text("another")
    assert simulation_hash(TINY, tap=False) != before


def test_versions_of_the_tools_decide_it_too(sources, monkeypatch):
    before = simulation_hash(TINY, tap=False)
    monkeypatch.setattr(measurements.importlib.metadata, "version", lambda package: "9.9")
    assert simulation_hash(TINY, tap=False) != before


def test_resources_survive_json():
    used = Resources(1, 2, 3, 0.5)
    found = Utilization(used, {"engine.norm": used}, {"engine.norm": Module(1, used)})
    value = {
        "total": {"dsp": 1, "lut": 2, "ff": 3, "bram36": 0.5},
        "units": {"engine.norm": {"dsp": 1, "lut": 2, "ff": 3, "bram36": 0.5}},
        "modules": {
            "engine.norm": {"instances": 1, "own": {"dsp": 1, "lut": 2, "ff": 3, "bram36": 0.5}}
        },
    }
    assert measurements.utilization(value) == found
