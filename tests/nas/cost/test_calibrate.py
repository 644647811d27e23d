"""``python -m nas.calibrate``: its file, what it refuses, how it resumes, when its check fails.

Verilator and Yosys are stood in for, at the functions that worker processes call; the last test
holds the real ones against the calibration of board ``sim``.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import boards
from nas import calibrate
from nas.calibrate import PROG, Options, main
from nas.cost import campaign, measurements
from nas.cost.calibration import Calibration, extrapolates, find
from nas.cost.latency import Memories
from nas.cost.networks import Networks
from nas.cost.sources import source_hashes
from nas.cost.subnets import sample_subnets
from rtl.cli import command
from rtl.compiler import check, lower
from rtl.config import ENGINES
from rtl.errors import UserError
from rtl.synthesis import Module, Resources, Utilization

ROOT = Path(__file__).parents[3]
SMALL = ("--subnets", "6", "--fit-engines", "4", "--engines", "2", "--workers", "1")


class Workplace:
    """Stand-ins for what takes minutes, and how often each was asked for."""

    def __init__(self, monkeypatch):
        self.slower, self.larger = 1.0, 1.0
        self.asked = {"network": 0, "units": 0, "engine": 0}
        self.left = 10**6  # measurements until a power failure
        monkeypatch.setattr(measurements, "measure_network", self.network)
        monkeypatch.setattr(measurements, "measure_units", self.units)
        monkeypatch.setattr(measurements, "measure_resources", self.engine)
        monkeypatch.setattr(campaign.testbench, "build", lambda engine, tap: None)
        monkeypatch.setattr(campaign, "workers", self.workers)
        monkeypatch.setattr(campaign, "EXACT_NETWORKS", 24)
        monkeypatch.setattr(calibrate, "QUICK_SUBNETS", 3)

    @contextmanager
    def workers(self, count, scheduler):
        with ThreadPoolExecutor(1) as pool:
            yield pool

    def count(self, what):
        self.asked[what] += 1
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def network(self, sample, board, engine):
        self.count("network")
        cycles = measurements.predict_exactly(sample, engine)["cycles"]
        return {"cycles": round(cycles * self.slower), "seconds": 3.0}

    def units(self, sample, board, engine):
        self.count("units")
        return {"matmul": [1.0, 2.0], "norm": [0.0]}

    def engine(self, engine, device, cells):
        self.count("engine")
        used = Resources(3, round(self.larger * (1000 + 50 * engine.norm_lanes)), 7, 0.5)
        units = {f"engine.{name}": used for name in ("norm",)}
        return asdict(Utilization(used, units, {"engine.norm": Module(1, used)}))


@pytest.fixture
def workplace(monkeypatch):
    return Workplace(monkeypatch)


def run(folder, *arguments):
    paths = ("--runs", str(folder / "runs"), "--out", str(folder / "sim.calibration.json"))
    return command(main, prog=PROG, args=[*paths, *SMALL, *arguments])


def test_one_file_with_coefficients_ranges_and_errors(workplace, tmp_path, capsys):
    assert run(tmp_path, "--json", str(tmp_path / "report.json")) == 0
    found = Calibration.load(tmp_path / "sim.calibration.json")
    assert (
        found.board == "sim" and found.stale() == [] and found.warning(boards.load("sim")) is None
    )
    assert found.latency.exact.max < 1e-3 and found.latency.exact.n == 6
    assert 0 < found.latency.vectorised.mape < 0.1
    assert found.latency.units["matmul"] == {"median": 1.5, "spread": 1.0, "n": 6.0}
    assert len(found.latency.held_out) == 6 and len(found.resources.held_out) == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["latency"]) == {"mape", "max", "bias", "tau", "n"}
    assert {"lut", "ff", "dsp", "bram", "n"} <= set(report["resources"])
    assert report["candidates_per_s"] > 1000 and report["speedup"] > 1
    assert "errors on what the fit never saw" in capsys.readouterr().out


def test_an_interrupted_run_keeps_its_points(workplace, tmp_path):
    workplace.left = 4
    assert run(tmp_path) == 130
    assert not (tmp_path / "sim.calibration.json").exists()
    workplace.left = 10**6
    assert run(tmp_path) == 0
    assert workplace.asked["network"] <= 9  # one for the speed; two were under way
    assert (workplace.asked["units"], workplace.asked["engine"]) == (3, 6)
    first = json.loads((tmp_path / "sim.calibration.json").read_text())
    asked = sum(workplace.asked.values())
    assert run(tmp_path) == 0
    assert sum(workplace.asked.values()) == asked
    again = json.loads((tmp_path / "sim.calibration.json").read_text())
    assert first["latency"] == again["latency"] and first["resources"] == again["resources"]
    assert run(tmp_path, "--restart") == 0
    assert sum(workplace.asked.values()) == asked + 16


def test_cycles_of_the_rtl_outlive_a_change_of_the_timing_model(monkeypatch):
    """They are kept as long as the engine is the same, and the programs are."""
    board, engine = boards.load("sim"), ENGINES["tiny"]
    samples = sample_subnets(board, engine, 2, seed=0)

    def keys(points):
        return {point.key for point in points(samples, board, engine)}

    networks, units = keys(measurements.network_points), keys(measurements.unit_points)
    assert len(networks) == len(units) == 2
    monkeypatch.setattr(
        measurements, "source_hashes", lambda: source_hashes() | {"compiler": "another"}
    )
    assert keys(measurements.network_points) == networks
    assert not keys(measurements.unit_points) & units
    program = lower(check(samples[0].shape, engine))
    program.operations[1].signal ^= 1
    monkeypatch.setattr(measurements, "lower", lambda sizes: program)
    assert not keys(measurements.network_points) & networks


def test_a_quick_check_passes_until_an_error_has_grown(workplace, tmp_path, capsys):
    assert run(tmp_path) == 0
    content = (tmp_path / "sim.calibration.json").read_bytes()
    assert run(tmp_path, "--quick") == 0
    workplace.slower = 1.5
    assert run(tmp_path, "--quick", "--restart") == 1
    assert "exact latency model: error 33." in capsys.readouterr().err
    workplace.slower, workplace.larger = 1.0, 10.0
    assert run(tmp_path, "--quick", "--restart") == 1
    assert "LUT model: error" in capsys.readouterr().err
    assert (tmp_path / "sim.calibration.json").read_bytes() == content


def test_a_quick_check_needs_a_calibration(workplace, tmp_path, capsys):
    assert run(tmp_path, "--quick") == 2
    assert "python -m nas.calibrate makes it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(schema_version=2), "calibration of version 2, expected 1"),
        (lambda data: data.pop("latency"), "latency: field required"),
        (lambda data: data["latency"].update(ranges=3), "latency.ranges"),
        (lambda data: data["latency"]["coefficients"].pop("room"), r"coefficients \['room'\]"),
        (lambda data: data["latency"]["ranges"].pop("width"), "latency.ranges lacks 'width'"),
        (lambda data: data["latency"]["held_out"][0].pop("rtl"), "held_out.0.rtl: field required"),
        (lambda data: data["resources"]["model"].pop("costs"), "damaged: 'costs'"),
        (
            lambda data: data["resources"]["model"]["costs"]["norm"]["lut"].popitem(),
            "resource model: lut of 'norm' lacks",
        ),
    ],
)
def test_damaged_and_foreign_files(workplace, tmp_path, change, message):
    assert run(tmp_path) == 0
    file = tmp_path / "sim.calibration.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        Calibration.load(file)
    file.write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Calibration.load(file)


def test_another_boards_calibration_is_refused(workplace, tmp_path, capsys):
    other = boards.load("ulx3s").calibration
    assert other is not None
    (tmp_path / "sim.calibration.json").write_bytes(other.read_bytes())
    (tmp_path / "sim.toml").write_bytes((boards.FOLDER / "sim.toml").read_bytes())
    message = "the calibration is of board 'ulx3s' (LFE5U-85F-6BG381C), not of 'sim' (verilator)"
    with pytest.raises(UserError) as refused:
        find(boards.load(str(tmp_path / "sim.toml")))
    assert message in str(refused.value)
    for arguments in (("--quick",), ("--utilization", str(Path(__file__).parent / "flat.rpt"))):
        assert run(tmp_path, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not sum(workplace.asked.values())


def test_code_that_changed_since_is_said(workplace, tmp_path):
    assert run(tmp_path) == 0
    found = Calibration.load(tmp_path / "sim.calibration.json")
    old = found.model_copy(update={"sources": found.sources | {"rtl": "0" * 16}})
    assert old.stale() == ["rtl"]
    assert "older than the rtl code" in str(old.warning(boards.load("sim")))


def test_networks_beyond_the_ranges_are_named(workplace, tmp_path):
    assert run(tmp_path) == 0
    ranges = Calibration.load(tmp_path / "sim.calibration.json").latency.ranges
    board = boards.load("sim")
    sample = sample_subnets(board, ENGINES["tiny"], 1, seed=campaign.SEED_FIT)[0]
    assert extrapolates(ranges, sample.shape, sample.memory) == []
    far = {name: (low, high) if name != "width" else (1, 2) for name, (low, high) in ranges.items()}
    said = extrapolates(far, sample.shape, sample.memory)
    assert said == [f"width {sample.shape.width} outside 1 to 2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subnets", "3"), "--subnets must be from 4 to 10000, not 3"),
        (("--workers", "0"), "--workers must be from 1 to 256, not 0"),
        (("--board", "nowhere"), "unknown board 'nowhere'"),
        (("--out", "/proc/none.json"), "/proc"),
    ],
)
def test_bad_input(workplace, tmp_path, capsys, arguments, message):
    assert run(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not sum(workplace.asked.values())


def test_a_second_calibration_of_a_board_waits_for_none(workplace, tmp_path, capsys):
    from nas.run_folder import locked

    with locked(tmp_path / "runs" / "calibration" / "sim"):
        assert run(tmp_path) == 2
    assert "at work in" in capsys.readouterr().err


POWER = """
| Dynamic (W)              | 6.400        |
"""


def with_real_resources(tmp_path):
    """A calibration whose resource model has every unit: of the package."""
    found = find(boards.load("sim"))
    found.save(tmp_path / "sim.calibration.json")
    return found


def test_reports_of_vivado_refine_a_calibration(workplace, tmp_path, capsys):
    before = with_real_resources(tmp_path)
    report = Path(__file__).parent / "flat.rpt"
    assert run(tmp_path, "--utilization", str(report)) == 0
    assert " by yosys, 141,234 by vivado" in capsys.readouterr().out
    after = Calibration.load(tmp_path / "sim.calibration.json")
    engine = ENGINES["tiny"]
    assert after.resource_model.predict(engine).lut == 141_234
    assert after.resource_model.predict(engine) != before.resource_model.predict(engine)
    assert after.latency == before.latency and after.power_model is None
    assert run(tmp_path, "--utilization", str(report)) == 0
    assert "lut: 141,234 by vivado, 141,234 by vivado" in capsys.readouterr().out
    power = tmp_path / "power.rpt"
    power.write_text(POWER)
    network = ROOT / "examples" / "digits.pulsar"
    assert run(tmp_path, "--power", str(power), "--network", str(network)) == 0
    assert "J dynamic energy per image" in capsys.readouterr().out
    assert Calibration.load(tmp_path / "sim.calibration.json").power_model is not None
    assert not sum(workplace.asked.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--power", "x.rpt"), "--power and --network belong together"),
        (("--utilization", "none.rpt"), "none.rpt"),
    ],
)
def test_reports_that_cannot_be_used(tmp_path, capsys, arguments, message):
    before = with_real_resources(tmp_path)
    assert run(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert Calibration.load(tmp_path / "sim.calibration.json") == before


@pytest.mark.parametrize("board", boards.names())
def test_calibrations_of_the_package(board):
    """What the package ships is whole, of its board's engine, and as good as the docs say."""
    found = find(boards.load(board))
    if found is None:
        pytest.skip(f"board {board} has no calibration")
    engine = ENGINES[boards.load(board).engine.lower()]
    assert found.latency.engine_hash == f"{engine.hash:016x}"
    assert found.latency.exact.mape < 0.01 and found.latency.exact.max < 0.03
    model = found.latency_model(engine)
    samples = sample_subnets(boards.load(board), engine, 3, seed=99)
    networks = Networks.of_shapes([sample.shape for sample in samples])
    memories = Memories.of(*(sample.memory for sample in samples))
    assert np.isfinite(model.cycles(networks, memories)).all()
    assert found.resource_model.predict(engine).lut > 0


@pytest.mark.sim
def test_the_calibration_of_board_sim_holds(tmp_path):
    """Fresh networks in Verilator, fresh engines through Yosys."""
    assert command(main, prog=PROG, args=["--quick", "--runs", str(tmp_path)]) == 0


def test_options_have_the_defaults_of_the_docs():
    assert (Options().subnets, Options().fit_engines, Options().engines) == (45, 8, 10)
