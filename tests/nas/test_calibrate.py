"""``python -m nas.calibrate``: its file, what it refuses, how it resumes, when its check fails.

Verilator and Yosys are stood in for, at the functions that worker processes call: cycles are those
that the RTL took when the package's calibration of board ``sim`` was made. The last test compares
the real ones with that calibration.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from nas import calibrate
from nas.calibrate import PROG, SCHEMA, CalibrateOptions, main
from nas.cost import calibration_run, measurements, sweep
from nas.cost.calibration import Calibration, find
from nas.cost.calibration_run import SEED_QUICK
from nas.cost.estimate import Estimate
from nas.cost.hardware import HardwareTarget
from nas.cost.records import SEED_HELD_OUT, PowerModel
from nas.cost.subnets import sample_subnets
from rtl.board import FOLDER, load_board
from rtl.build.synthesis import Module, Resources, Utilization
from rtl.cli import command
from rtl.compiler import lower, plan
from rtl.config import ENGINES, TINY
from rtl.errors import UserError
from rtl.model import IntegerModel

ROOT = Path(__file__).parents[2]
UTILIZATION = ROOT / "tests" / "rtl" / "build" / "flat.rpt"
SMALL = ("--subnets", "6", "--fit-engines", "4", "--engines", "2", "--workers", "1")


class Workplace:
    """Stand-ins for what takes minutes, and how often each was asked for."""

    def __init__(self, monkeypatch, folder):
        self.slower, self.larger = 1.0, 1.0
        self.asked = {"network": 0, "writes": 0, "engine": 0}
        self.left = 10**6  # measurements until a power failure
        self.verilog = folder / "engine.v"
        self.verilog.write_text("module engine; endmodule")
        held_out = find(load_board("sim")).latency.held_out
        samples = sample_subnets(load_board("sim"), TINY, len(held_out), SEED_HELD_OUT)
        self.measured = dict(zip(samples, (row.rtl for row in held_out), strict=True))
        monkeypatch.setattr(measurements, "measure_network", self.network)
        monkeypatch.setattr(measurements, "measure_writes", self.writes)
        monkeypatch.setattr(measurements, "measure_resources", self.engine)
        monkeypatch.setattr(measurements.testbench, "build", lambda engine, tap: None)
        monkeypatch.setattr(measurements.testbench, "generate", self.generate)
        monkeypatch.setattr(calibration_run, "workers", self.workers)
        # Deterministic, and of networks that were measured.
        monkeypatch.setattr(calibration_run, "repeat", lambda predict, number, repeat: [0.5])
        monkeypatch.setattr(calibrate, "SEED_QUICK", SEED_HELD_OUT)
        monkeypatch.setattr(calibrate, "QUICK_SUBNETS", 9)

    @contextmanager
    def workers(self, count, scheduler):
        with ThreadPoolExecutor(1) as pool:
            yield pool

    def generate(self, engine, tap):
        return [self.verilog]

    def count(self, what):
        self.asked[what] += 1
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def network(self, sample, board, engine):
        self.count("network")
        return {"cycles": round(self.measured[sample] * self.slower), "seconds": 3.0}

    def writes(self, sample, board, engine):
        """As if every instruction wrote in cycle 100, if it writes at all."""
        self.count("writes")
        operations = lower(plan(sample.shape, engine)).operations
        return [100.0 if operation.writes else None for operation in operations]

    def engine(self, engine, device, cells):
        self.count("engine")
        used = Resources(3, round(self.larger * (1000 + 50 * engine.norm_lanes)), 7, 0.5)
        units = {f"engine.{name}": used for name in ("norm",)}
        return asdict(Utilization(used, units, {"engine.norm": Module(1, used)}))


@pytest.fixture
def workplace(monkeypatch, tmp_path):
    return Workplace(monkeypatch, tmp_path)


def run(folder, *arguments):
    paths = ("--runs", str(folder / "runs"), "--out", str(folder / "sim.calibration.json"))
    return command(main, prog=PROG, args=[*paths, *SMALL, *arguments])


def packaged(tmp_path):
    """Copy the package's calibration of board ``sim`` to where :func:`run` writes."""
    found = find(load_board("sim"))
    found.save(tmp_path / "sim.calibration.json")
    return found


def test_one_file_with_ranges_and_errors(workplace, tmp_path, capsys):
    assert run(tmp_path, "--json", str(tmp_path / "report.json")) == 0
    found = Calibration.load(tmp_path / "sim.calibration.json")
    assert found.board == "sim" and found.outdated(load_board("sim")) == []
    latency, known = found.latency, find(load_board("sim")).latency
    assert latency.held_out == known.held_out[:6] and latency.errors.n == 6
    ratios = [row.predicted / row.rtl - 1 for row in known.held_out[:6]]
    assert latency.errors.max == pytest.approx(max(map(abs, ratios)))
    assert latency.verilog == measurements.verilog_hash(TINY)
    assert latency.units.keys() == {"load", "matmul", "norm", "softmax"}
    assert len(found.resources.held_out) == 2 and found.speedup == 6
    samples = sample_subnets(load_board("sim"), TINY, 6, SEED_HELD_OUT)
    widths = [sample.shape.width for sample in samples]
    assert latency.ranges["width"] == (min(widths), max(widths))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == SCHEMA
    assert set(report["cycles"]) == {"mape", "max", "bias", "tau", "n"}
    assert {"lut", "ff", "dsp", "bram", "n"} <= set(report["resources"])
    assert report["speedup"] == 6
    assert "errors on networks and engines that no fit saw" in capsys.readouterr().out


def test_an_interrupted_run_keeps_its_points(workplace, tmp_path):
    workplace.left = 4
    assert run(tmp_path) == 130
    assert not (tmp_path / "sim.calibration.json").exists()
    workplace.left = 10**6
    assert run(tmp_path) == 0
    assert workplace.asked["network"] <= 9  # one for the speed; two were under way
    assert (workplace.asked["writes"], workplace.asked["engine"]) == (3, 6)
    first = json.loads((tmp_path / "sim.calibration.json").read_text())
    asked = dict(workplace.asked)
    assert run(tmp_path) == 0
    # Engines are elaborated again, which shows their modules; those are known.
    assert workplace.asked == asked | {"engine": asked["engine"] + 6}
    again = json.loads((tmp_path / "sim.calibration.json").read_text())
    assert first["latency"] == again["latency"] and first["resources"] == again["resources"]
    assert run(tmp_path, "--restart") == 0
    assert sum(workplace.asked.values()) == sum(asked.values()) + 6 + 16


def test_another_verilog_is_measured_again(workplace, tmp_path):
    assert run(tmp_path) == 0
    networks = workplace.asked["network"]
    workplace.verilog.write_text("module engine; wire a; endmodule")
    assert run(tmp_path) == 0
    assert workplace.asked["network"] == 2 * networks


def test_a_quick_check_passes_until_an_error_has_grown(workplace, tmp_path, capsys):
    assert run(tmp_path) == 0
    content = (tmp_path / "sim.calibration.json").read_bytes()
    assert run(tmp_path, "--quick") == 0
    assert "warning" not in capsys.readouterr().err
    workplace.slower = 1.5
    assert run(tmp_path, "--quick", "--restart") == 1
    assert "timing model: error 33." in capsys.readouterr().err
    workplace.slower, workplace.larger = 1.0, 10.0
    assert run(tmp_path, "--quick", "--restart") == 1
    assert "LUT model: error" in capsys.readouterr().err
    assert (tmp_path / "sim.calibration.json").read_bytes() == content


def test_a_quick_check_notices_another_verilog(workplace, tmp_path, capsys):
    assert run(tmp_path) == 0
    workplace.verilog.write_text("module engine; wire a; endmodule")
    assert run(tmp_path, "--quick") == 0
    assert "warning: the engine's Verilog has changed since" in capsys.readouterr().err


def test_a_quick_check_needs_a_calibration(workplace, tmp_path, capsys):
    assert run(tmp_path, "--quick") == 2
    assert "python -m nas.calibrate --board sim makes it" in capsys.readouterr().err


def test_an_old_calibration_is_named_with_the_remedy(workplace, tmp_path, capsys):
    (tmp_path / "sim.calibration.json").write_text('{"schema_version": 1}')
    assert run(tmp_path, "--quick") == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.endswith("version 1, expected 2: run python -m nas.calibrate again")
    assert run(tmp_path) == 0  # replaces it


def test_another_boards_calibration_is_refused(workplace, tmp_path, capsys):
    other = load_board("ulx3s").calibration
    assert other is not None
    (tmp_path / "sim.calibration.json").write_bytes(other.read_bytes())
    (tmp_path / "sim.toml").write_bytes((FOLDER / "sim.toml").read_bytes())
    message = "the calibration is of board 'ulx3s' (LFE5U-85F-6BG381C), not of 'sim' (verilator)"
    with pytest.raises(UserError) as refused:
        find(load_board(str(tmp_path / "sim.toml")))
    assert message in str(refused.value)
    for arguments in (
        ("--quick",),
        ("--utilization", str(UTILIZATION)),
    ):
        assert run(tmp_path, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not sum(workplace.asked.values())


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
    from nas.search.run_folder import locked

    with locked(tmp_path / "runs" / "calibration" / "sim"):
        assert run(tmp_path) == 2
    assert "at work in" in capsys.readouterr().err


POWER = """
| Dynamic (W)              | 6.400        |
"""


def test_reports_of_vivado_refine_a_calibration(workplace, tmp_path, capsys):
    before = packaged(tmp_path)
    assert run(tmp_path, "--utilization", str(UTILIZATION)) == 0
    lut = before.resource_model.predict(ENGINES["tiny"]).lut
    assert f"lut: {lut:,} by Yosys, 141,234 by Vivado\n" in capsys.readouterr().out
    assert run(tmp_path, "--utilization", str(UTILIZATION)) == 0
    assert "lut: 141,234 by Vivado, 141,234 by Vivado\n" in capsys.readouterr().out
    after = Calibration.load(tmp_path / "sim.calibration.json")
    engine = ENGINES["tiny"]
    assert after.resource_model.predict(engine).lut == 141_234
    assert after.resource_model.predict(engine) != before.resource_model.predict(engine)
    assert after.latency == before.latency and after.power is None
    power = tmp_path / "power.rpt"
    power.write_text(POWER)
    network = ROOT / "examples" / "digits.pulsar"
    assert run(tmp_path, "--power", str(power), "--network", str(network)) == 0
    digits = Estimate.of(HardwareTarget.load("sim"), IntegerModel.load(network).shape)
    joules = 6.4 / digits.frames_per_second
    assert f"digits.pulsar: {joules:.4g} J dynamic energy per image" in capsys.readouterr().out
    imported = Calibration.load(tmp_path / "sim.calibration.json")
    assert imported.power and imported.power.joules(digits.work.products) == pytest.approx(joules)
    assert not sum(workplace.asked.values())
    # A new calibration keeps them.
    assert run(tmp_path) == 0
    assert "Kept: imported reports of utilization and power\n" in capsys.readouterr().out
    renewed = Calibration.load(tmp_path / "sim.calibration.json")
    assert renewed.power == imported.power
    assert renewed.resource_model.scales == imported.resource_model.scales
    assert renewed.resource_model.reference == "vivado"


def test_reports_of_another_engine_are_dropped(workplace, tmp_path, capsys):
    before = packaged(tmp_path)
    latency = before.latency.model_copy(update={"engine_hash": "0" * 16})
    powered = {"latency": latency, "power": PowerModel(joules_per_product=1e-12)}
    before.model_copy(update=powered).save(tmp_path / "sim.calibration.json")
    assert run(tmp_path) == 0
    assert "Dropped: imported reports of power, which are of another" in capsys.readouterr().out
    assert Calibration.load(tmp_path / "sim.calibration.json").power is None


@pytest.mark.parametrize("quick", [(), ("--quick",)])
def test_a_scheduler_is_asked_before_anything_is_built(quick, workplace, monkeypatch, tmp_path):
    def never(engine, tap):
        raise AssertionError("the simulation was built")

    packaged(tmp_path)
    monkeypatch.setattr(measurements.testbench, "build", never)
    monkeypatch.setattr(sweep, "SCHEDULER_SECONDS", 1)
    assert run(tmp_path, *quick, "--scheduler", "tcp://127.0.0.1:1") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--power", "x.rpt"), "--power and --network belong together"),
        (("--utilization", "none.rpt"), "none.rpt"),
    ],
)
def test_reports_that_cannot_be_used(tmp_path, capsys, arguments, message):
    before = packaged(tmp_path)
    assert run(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert Calibration.load(tmp_path / "sim.calibration.json") == before


@pytest.mark.calibrated
@pytest.mark.sim
def test_the_calibration_of_board_sim_holds(tmp_path, capsys, monkeypatch):
    """Fresh networks in Verilator, a fresh engine through Yosys, and the same Verilog."""
    monkeypatch.setattr(calibrate, "QUICK_SUBNETS", 5)
    monkeypatch.setattr(calibrate, "QUICK_ENGINES", 1)
    assert SEED_QUICK != SEED_HELD_OUT
    assert command(main, prog=PROG, args=["--quick", "--runs", str(tmp_path)]) == 0
    assert "warning" not in capsys.readouterr().err


def test_options_have_the_defaults_of_the_docs():
    assert (
        CalibrateOptions().subnets,
        CalibrateOptions().fit_engines,
        CalibrateOptions().engines,
    ) == (45, 8, 10)
