"""docs/json.md names every key of the JSON files, and no other."""

import json
import re
import shutil
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import pytest

from nas import calibrate, explain, fit
from nas.cost.calibration import find
from nas.evaluate import job
from nas.evaluate.__main__ import main as evaluate
from nas.export_onnx.__main__ import main as export
from nas.report.data import report_data
from nas.search.summary import SCHEMA, Baseline, Baselines, Summary, Winner, WinnerWork
from nas.vit import summary as vit_summary
from rtl.board import load_board
from rtl.cli import command
from rtl.config import TINY, EngineConfig
from tests.documented import found, keys, section
from tests.nas.evaluate.models import network, quantized, save_images
from tests.nas.quantize.networks import random_images
from tests.nas.report import samples

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "examples" / "digits.pulsar")
FIT, EXPLAIN, CALIBRATE, SEARCH, ENGINE = "Fit", "Explain", "Calibrate", "Search", "Engine"
EVALUATE, REPORT, EXPORT = "Evaluate", "Report", "Export"
BOARD = "A network on a board"
VIT, VIT_ONNX, VIT_SELECTION = "Vit", "Vit as ONNX", "Vit with selection"


def written(main: Any, path: Path, *args: str) -> Any:
    """What a command writes; it may end with a refusal."""
    command(main, prog="python -m nas", args=(*args, "--json", str(path)))
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> dict:
    return written(fit.main, tmp_path_factory.mktemp("fit") / "a.json", DIGITS)


@pytest.fixture(scope="module")
def explained(tmp_path_factory) -> list[dict]:
    """Of a target that is missed, and of a network that is refused."""
    folder = tmp_path_factory.mktemp("explain")
    missed = written(explain.main, folder / "a.json", DIGITS, "--fps", "60000")
    args = (DIGITS, "--fps", "9", "--engine", "zcu102_a8")
    return [missed, written(explain.main, folder / "b.json", *args)]


def test_fit(fitted):
    assert fitted.keys() == {key.removesuffix("[]").removesuffix(".*") for key in keys(FIT)}
    assert f"| `schema` | {fitted['schema']} |" in section(FIT)


def test_explain(explained):
    assert explained[0].keys() == explained[1].keys()
    known = keys(EXPLAIN) | keys(BOARD)
    paths = {path for report in explained for path in found(report, known)}
    assert paths <= known
    rare = {"estimate.work.energy_joules", "nearest[].design.extrapolated[]", "caveats[]", "keep.*"}
    assert known - paths <= rare
    assert f"| `schema` | {explained[0]['schema']} |" in section(EXPLAIN)


def test_calibrate(tmp_path):
    known, path = find(load_board("sim")), tmp_path / "a.json"
    assert known is not None
    calibrate.write_json(path, known.latency.errors, known.resources.errors, known)
    report = json.loads(path.read_text())
    assert set(found(report, keys(CALIBRATE))) == keys(CALIBRATE)
    assert f"| `schema` | {report['schema']} |" in section(CALIBRATE)


def test_evaluate(tmp_path, monkeypatch):
    """Of features, of classes, of selected tokens; a host network has outputs as well."""
    known, paths = keys(EVALUATE), set()
    for classes, keep in ((0, None), (7, None), (0, {0: 4})):
        exact = network(classes, keep=keep)
        monkeypatch.setattr(job, "read", lambda name, options, exact=exact: exact)
        quantized(exact).save(tmp_path / "a.pulsar")
        images = random_images(4)
        save_images(images, tmp_path / "images", list(exact.class_names[:4]) or None)
        args = (str(tmp_path / "a.pulsar"), "--data", str(tmp_path / "images"))
        more = ("--float", "x", "--noise", "--workers", "0")
        report = written(evaluate, tmp_path / "a.json", *args, *more)
        paths |= set(found(report, known))
        shutil.rmtree(tmp_path / "images")
    of_outputs = {f"{head}likeness.*.correlation" for head in ("", "selection.")}
    assert paths <= known and known - paths == of_outputs
    assert f"| `schema` | {job.SCHEMA} |" in section(EVALUATE)


def test_export(tmp_path):
    known = keys(EXPORT)
    report = written(export, tmp_path / "a.json", DIGITS, str(tmp_path / "a.onnx"))
    assert set(found(report, known)) == known
    assert f"| `schema` | {report['schema']} |" in section(EXPORT)
    assert (report["images"], report["codes"]) == (1, 10)
    assert report["file_bytes"] == (tmp_path / "a.onnx").stat().st_size
    assert report["model_bytes"] == Path(DIGITS).stat().st_size


def test_vit_as_onnx():
    published = json.loads((ROOT / "docs" / "results" / "onnx.json").read_text())
    assert set(found(published, keys(VIT_ONNX))) == keys(VIT_ONNX)
    assert f"| `schema` | {published['schema']} |" in section(VIT_ONNX)


def test_vit_with_selection():
    published = json.loads((ROOT / "docs" / "results" / "selection.json").read_text())
    known = keys(VIT_SELECTION)
    assert set(found(published, known)) == known
    assert f"| `schema` | {published['schema']} |" in section(VIT_SELECTION)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("alone", "Study of subnets alone"),
        ("supernet", "Study of recipes"),
        ("warm", "Study of recipes"),
        ("tricks", "Study of recipes"),
        ("ranking", "Study of the ranking"),
        ("splits", "Study of the splits"),
        ("quantizers", "Study of quantizers"),
        ("memory", "Memory"),
    ],
)
def test_studies(name, title):
    published, known = (
        json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text()),
        keys(title),
    )
    assert set(found(published, known)) == known
    assert f"| `schema` | {published['schema']} |" in section(title)


def test_a_board_of_fit(fitted, explained):
    top = {re.split(r"[.\[]", key)[0] for key in keys(BOARD)}
    for report in fitted["boards"]:
        assert report.keys() == top <= explained[0].keys()


def test_report():
    """The element of a page; of a network, what is not that of its board."""
    report, known = report_data(samples.report()), keys(REPORT)
    report |= {"noise": None, "measured": None}
    report["quality"]["points"] = [
        each | {"interval": None} for each in report["quality"]["points"]
    ]
    report["front"] |= {name: [None] for name in ("found", "drawn", "chosen")}
    of_board = {re.split(r"[.\[]", key)[0] for key in keys(BOARD)}
    networks = report["networks"]
    assert of_board <= networks[0].keys()
    for each in networks:
        for key in of_board:
            del each[key]
        each["tile_bits"] = dict.fromkeys(each["tile_bits"])
    assert set(found(report, known)) == known
    assert f"| `schema` | {report['schema']} |" in section(REPORT)


def test_search():
    """The summary's fields, which are what the file has."""
    known = keys(SEARCH)
    expected = {name.removesuffix("_") for name in Summary.model_fields}
    assert {re.split(r"[.\[]", key)[0] for key in known} == expected
    inner = {re.split(r"[.\[]", key[len("winners[].") :])[0] for key in known if "[]." in key}
    assert inner == set(Winner.model_fields)
    prefix = "winners[].work."
    work = {key.removeprefix(prefix) for key in known if key.startswith(prefix)}
    assert work == set(WinnerWork.model_fields)
    for name in Baselines.model_fields:
        prefix = f"winners[].baselines.{name}."
        below = {key.removeprefix(prefix) for key in known if key.startswith(prefix)}
        assert {key.removesuffix("[]") for key in below} == set(Baseline.model_fields)
    assert f"| `schema` | {SCHEMA} |" in section(SEARCH)


def test_vit():
    """The summary's fields, and those of its parts."""
    known, schema = keys(VIT), vit_summary.VitSummary.model_fields
    assert {re.split(r"[.\[]", key)[0] for key in known} == {
        name.removesuffix("_") for name in schema
    }
    for name, part in (
        ("rows[]", vit_summary.RowFigures),
        ("probe[]", vit_summary.AccuracyFigures),
        ("noise", vit_summary.NoiseFigures),
        ("digits", vit_summary.DigitFigures),
        ("rtl[]", vit_summary.EngineFigures),
    ):
        below = {key[len(name) + 1 :] for key in known if key.startswith(f"{name}.")}
        assert {re.split(r"[.\[]", key)[0] for key in below} == set(part.model_fields), name
    assert f"| `schema` | {vit_summary.SCHEMA} |" in section(VIT)


def test_engine():
    assert list(re.findall(r"^\| `(\w+)` \|", section(ENGINE), re.MULTILINE)) == list(asdict(TINY))
    defaults = [field.name for field in fields(EngineConfig) if field.default is not MISSING]
    assert defaults == list(asdict(TINY))[-7:]  # "the last seven"


def test_what_the_page_does_not_know_is_found():
    report = {"a": 1, "b": {"c": [2], "e": None}, "d": []}
    assert list(found(report, {"a", "b.c[]"})) == ["a", "b.c[]", "b.*", ".*"]
    assert list(found({"x": {"y": 1}, "z": None}, {"x.*", "z.w"})) == ["x.*"]
