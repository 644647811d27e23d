"""``python -m nas.calibrate``: its file, what it refuses, how it resumes, when its check fails.

Verilator and Yosys are stood in for, at the functions that worker processes call; the last test
holds the real ones against the calibration of board ``sim``.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from nas import calibrate
from nas.calibrate import PROG, Options, main
from nas.cost import campaign, measurements, sweep
from nas.cost.calibration import Calibration, Errors, extrapolates, find, sizes_in_ranges
from nas.cost.campaign import (
    EXACT_NETWORKS,
    SEED_FIT,
    SEED_HELD_OUT,
    SEED_QUICK,
    Campaign,
    Measured,
    Pool,
    against_rtl,
)
from nas.cost.engines import corner_engines, sample_engines
from nas.cost.latency import Memories
from nas.cost.networks import Networks
from nas.cost.sources import source_hashes
from nas.cost.subnets import sample_subnets
from rtl.board import FOLDER, board_names, load_board
from rtl.build.synthesis import Module, Resources, Utilization
from rtl.cli import command
from rtl.compiler import lower, plan
from rtl.config import ENGINES
from rtl.errors import UserError
from rtl.timing import UnitLatencies

ROOT = Path(__file__).parents[2]
UTILIZATION = ROOT / "tests" / "rtl" / "build" / "flat.rpt"
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


def packaged(tmp_path):
    """Copy the package's calibration of board ``sim`` to where :func:`run` writes."""
    found = find(load_board("sim"))
    found.save(tmp_path / "sim.calibration.json")
    return found


def test_one_file_with_coefficients_ranges_and_errors(workplace, tmp_path, capsys):
    assert run(tmp_path, "--json", str(tmp_path / "report.json")) == 0
    found = Calibration.load(tmp_path / "sim.calibration.json")
    assert found.board == "sim" and found.stale() == [] and found.warning(load_board("sim")) is None
    assert found.latency.exact.max < 1e-3 and found.latency.exact.n == 6
    assert 0 < found.latency.vectorised.mape < 0.1
    assert found.latency.units["matmul"] == {"median": 1.5, "spread": 1.0, "n": 6.0}
    assert len(found.latency.held_out) == 6 and len(found.resources.held_out) == 2
    samples = sample_subnets(load_board("sim"), ENGINES["tiny"], 24, SEED_FIT)
    widths = [sample.shape.width for sample in samples]
    assert found.latency.ranges["width"] == (min(widths), max(widths))
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
    board, engine = load_board("sim"), ENGINES["tiny"]
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
    program = lower(plan(samples[0].shape, engine))
    program.operations[1].signal ^= 1
    monkeypatch.setattr(measurements, "lower", lambda sizes: program)
    assert not keys(measurements.network_points) & networks


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("network", {"rtl"}),
        ("exact", {"compiler"}),
        ("speed", {"rtl", "compiler"}),
        ("unit", {"rtl", "compiler"}),
        ("engine", {"rtl"}),
    ],
)
def test_points_are_measured_again_after_a_change_of_what_decides_them(kind, parts, monkeypatch):
    board, engine = load_board("sim"), ENGINES["tiny"]
    sample = sample_subnets(board, engine, 1, seed=0)[0]

    def key(board=board, engine=engine, sample=sample):
        points = getattr(measurements, f"{kind}_points")
        [point] = {
            "exact": lambda: points([sample], engine),
            "engine": lambda: points(board, [engine], Path("cells")),
        }.get(kind, lambda: points([sample], board, engine))()
        return point.key

    first = key()
    slower = replace(engine, softmax_parts=2)
    assert first == key() != key(engine=slower)
    if kind == "engine":
        assert key(board=load_board("ulx3s")) != first
    else:
        memory = replace(sample.memory, latency_cycles=sample.memory.latency_cycles + 1)
        assert key(sample=replace(sample, memory=memory)) != first
    for part in source_hashes():
        changed = source_hashes() | {part: "another"}
        monkeypatch.setattr(measurements, "source_hashes", lambda changed=changed: changed)
        assert (key() != first) == (part in parts), part


def test_exact_cycles_depend_on_the_units_latencies(monkeypatch):
    engine = ENGINES["tiny"]
    samples = sample_subnets(load_board("sim"), engine, 1, seed=0)
    [before] = measurements.exact_points(samples, engine)
    monkeypatch.setattr(measurements, "unit_latencies", lambda engine: UnitLatencies())
    [after] = measurements.exact_points(samples, engine)
    assert before.key != after.key


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
            "'norm' has other features than this version .*\\): run python -m nas.calibrate again$",
        ),
    ],
)
def test_damaged_and_foreign_files(tmp_path, change, message):
    packaged(tmp_path)
    file = tmp_path / "sim.calibration.json"
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


def test_code_that_changed_since_is_said():
    known = find(load_board("sim"))
    current = known.model_copy(update={"sources": source_hashes()})
    assert current.stale() == [] and current.warning(load_board("sim")) is None
    old = known.model_copy(update={"sources": source_hashes() | {"rtl": "0" * 16}})
    assert old.stale() == ["rtl"]
    assert "older than the rtl code" in str(old.warning(load_board("sim")))


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
    errors = Errors.of(np.array([110, 160]), np.array([100, 200]))
    assert (errors.n, errors.tau) == (2, 1)
    assert (errors.mape, errors.max) == pytest.approx((0.15, 0.2))
    assert errors.bias == pytest.approx(-0.05)


def test_rows_have_the_cycles_of_both_models():
    """Against cycles that are made up: one more than the exact model's."""
    board, engine = load_board("sim"), ENGINES["tiny"]
    samples = sample_subnets(board, engine, 3, seed=0)
    exact = [measurements.predict_exactly(sample, engine)["cycles"] for sample in samples]
    measured = np.array(exact, float) + 1
    model = find(board).latency_model(engine)
    rows, errors = against_rtl(model, Measured(samples, measured, np.ones(3)))
    assert [row["exact"] for row in rows] == exact
    assert [row["rtl"] for row in rows] == [cycles + 1 for cycles in exact]
    assert [row["tokens"] for row in rows] == [sample.shape.tokens for sample in samples]
    assert errors["exact"] == Errors.of(np.array(exact), measured)
    vectorised = np.array([row["vectorised"] for row in rows])
    mape = abs(vectorised / measured - 1).mean()
    assert errors["vectorised"].mape == pytest.approx(mape, abs=1e-3)
    assert errors["vectorised"] != errors["exact"]


@pytest.mark.parametrize("board", board_names())
def test_no_fit_sees_what_it_is_held_against(board):
    """Networks and engines of a calibration with its default options."""
    board, options = load_board(board), Options()
    engine = ENGINES[board.engine.lower()]
    networks = {s.shape for s in sample_subnets(board, engine, EXACT_NETWORKS, SEED_FIT)}
    engines = nameless(sample_engines(board, options.fit_engines, SEED_FIT) + corner_engines(board))
    for seed in (SEED_HELD_OUT, SEED_QUICK):
        others = sample_subnets(board, engine, options.subnets, seed)
        assert not networks & {sample.shape for sample in others}
        assert not engines & nameless(sample_engines(board, options.engines, seed))


def nameless(engines):
    return {replace(engine, name="") for engine in engines}


def test_what_is_held_out_is_drawn_apart(monkeypatch, tmp_path):
    seeds = []
    monkeypatch.setattr(campaign, "sample_subnets", lambda *args: seeds.append(args[-1]) or [])
    monkeypatch.setattr(campaign.Campaign, "_build", lambda self, tap: None)
    monkeypatch.setattr(campaign.Campaign, "_values", lambda self, *args: [])
    Campaign(load_board("sim"), tmp_path, Pool(1)).networks(3)
    assert seeds == [SEED_HELD_OUT]


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
    assert after.latency == before.latency and after.power_model is None
    power = tmp_path / "power.rpt"
    power.write_text(POWER)
    network = ROOT / "examples" / "digits.pulsar"
    assert run(tmp_path, "--power", str(power), "--network", str(network)) == 0
    assert "J dynamic energy per image" in capsys.readouterr().out
    imported = Calibration.load(tmp_path / "sim.calibration.json")
    assert imported.power_model is not None
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
    powered = {"latency": latency, "power": {"joules_per_product": 1e-12}}
    before.model_copy(update=powered).save(tmp_path / "sim.calibration.json")
    assert run(tmp_path) == 0
    assert "Dropped: imported reports of power, which are of another" in capsys.readouterr().out
    assert Calibration.load(tmp_path / "sim.calibration.json").power is None


@pytest.mark.parametrize("quick", [(), ("--quick",)])
def test_a_scheduler_is_asked_before_anything_is_built(quick, workplace, monkeypatch, tmp_path):
    def never(engine, tap):
        raise AssertionError("the simulation was built")

    packaged(tmp_path)
    monkeypatch.setattr(campaign.testbench, "build", never)
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


@pytest.mark.parametrize("board", board_names())
def test_calibrations_of_the_package(board):
    """What the package ships is whole, of its board's engine, and as good as the docs say."""
    found = find(load_board(board))
    engine = ENGINES[load_board(board).engine.lower()]
    assert found.latency.engine_hash == f"{engine.hash:016x}"
    latency, resources = found.latency, found.resources.errors
    assert latency.exact.mape < 0.01 and latency.exact.max < 0.03 and latency.exact.tau > 0.99
    assert resources.lut < 0.03 and resources.ff < 0.03 and resources.dsp == resources.bram == 0
    exact, rtl = (
        np.array([getattr(row, name) for row in latency.held_out]) for name in ("exact", "rtl")
    )
    assert latency.exact == Errors.of(exact, rtl)
    model = found.latency_model(engine)
    samples = sample_subnets(load_board(board), engine, 3, seed=99)
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
