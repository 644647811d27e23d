"""``python -m sim.run``: its table and its refusals; tests/rtl/test_engine.py runs the engine."""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boards.host.features import features
from boards.host.pictures import prepare
from rtl.cli import command
from rtl.files import atomic_write
from rtl.model import Features, HostNetwork
from rtl.model.keep import original_tokens
from sim import golden, runner, testbench
from sim.random_model import random_model
from sim.run import main
from sim.shown_tokens import CAPTION, MARGIN

PROG = "python -m sim.run"
EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL, DIGIT = EXAMPLES / "digits.pulsar", EXAMPLES / "digit-0.png"


def run(*args: object) -> int:
    return command(main, prog=PROG, args=[str(arg) for arg in args])


@pytest.fixture
def never(monkeypatch):
    """Nothing may be simulated."""

    def simulate(*args, **kwargs):
        raise AssertionError("the simulation was begun")

    monkeypatch.setattr(runner, "run", simulate)


@pytest.fixture
def stand_in(monkeypatch):
    """An output without an engine: class 0 wins, or what golden says of tokens."""

    def simulate(model, images, board, **settings):
        output = np.tile(-np.arange(model.classes, dtype=np.int32), (len(images), 1))
        tensors: dict[str, np.ndarray] = {}
        if not model.classes:
            output = golden.run(model, images, tensors=tensors)
        selects = not model.classes and model.shape.selects
        indices = original_tokens(tensors, model.shape, len(model.blocks)) if selects else None
        return runner.EngineRun(output, (1000,) * len(images), indices)

    monkeypatch.setattr(runner, "run", simulate)


def test_names_are_shown_as_they_are(stand_in, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = random_model(blocks=((4, 64),), classes=2)
    model = replace(model, class_names=("[red]a[/bad]", "b"))
    model.save("[m].pulsar")
    Image.new("L", (28, 28)).save("[x].png")
    assert run("[m].pulsar", "[x].png") == 0
    output = capsys.readouterr().out
    for text in ("[m].pulsar on board sim", "[x].png", "[red]a[/bad]"):
        assert text in output


def test_patches_that_stay_are_drawn(stand_in, tmp_path, capsys):
    random_model(blocks=((4, 64),) * 2, keep={0: 5}).save(tmp_path / "a.pulsar")
    picture = tmp_path / "new" / "tokens.png"
    args = ("--engine", "tiny_select", "--show-tokens", picture)
    assert run(tmp_path / "a.pulsar", DIGIT, DIGIT, *args) == 0
    assert "tokens.png: the patches that the model keeps" in capsys.readouterr().out
    with Image.open(picture) as drawn:
        assert drawn.size == (2 * (224 + MARGIN) + MARGIN, 2 * (224 + CAPTION) + MARGIN)


def test_nothing_to_draw_is_said_at_once(never, tmp_path, capsys):
    assert run(MODEL, DIGIT, "--show-tokens", tmp_path / "tokens.png") == 2
    assert "the model keeps all of its patches" in capsys.readouterr().err


@pytest.mark.parametrize("taken", ["image", "json", "model"])
def test_the_picture_of_tokens_replaces_no_other_file(taken, never, tmp_path, monkeypatch, capsys):
    """Whatever way its path is written in."""
    monkeypatch.chdir(tmp_path)
    model = tmp_path / ("both.png" if taken == "model" else "a.pulsar")
    random_model(blocks=((4, 64),) * 2, keep={0: 5}).save(model)
    image = tmp_path / ("both.png" if taken == "image" else "a.png")
    shutil.copy(DIGIT, image)
    before = model.read_bytes(), image.read_bytes()
    report = ("--json", tmp_path / "both.png") if taken == "json" else ()
    args = ("--engine", "tiny_select", "--show-tokens", "new/../both.png", *report)
    assert run(model, DIGIT, image, *args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "new/../both.png cannot be written: the command " in line
    assert before == (model.read_bytes(), image.read_bytes())


@pytest.mark.parametrize(
    "pool, shape, shown", [("token", (32,), "32"), ("all", (17, 32), "17 x 32")]
)
def test_features_of_tokens(pool, shape, shown, stand_in, tmp_path, capsys):
    model = random_model(width=32, blocks=((2, 64),), output="tokens", pool=pool)
    model.save(tmp_path / "tokens.pulsar")
    assert run(tmp_path / "tokens.pulsar", DIGIT, DIGIT, "--json", tmp_path / "run.json") == 0
    assert f" {shown} " in capsys.readouterr().out
    report = json.loads((tmp_path / "run.json").read_text())
    assert "logits" not in report and (report["schema"], report["pool"]) == (5, pool)
    image = prepare(DIGIT, model.preprocessing, model.image)
    tokens = golden.run(model, image[None])
    assert isinstance(model.output, Features)
    expected = features(model.output, tokens, 16)[0]
    assert expected.shape == shape
    np.testing.assert_array_equal(np.float32(report["features"]), [expected, expected])


def test_features_say_of_which_tokens_they_are(stand_in, tmp_path):
    sizes = {"width": 32, "blocks": ((2, 64),) * 2, "output": "tokens", "pool": "all"}
    model = random_model(**sizes, keep={0: 5})
    model.save(tmp_path / "tokens.pulsar")
    arguments = ("--engine", "tiny_select", "--json", tmp_path / "run.json")
    assert run(tmp_path / "tokens.pulsar", DIGIT, *arguments) == 0
    report = json.loads((tmp_path / "run.json").read_text())
    image, tensors = prepare(DIGIT, model.preprocessing, model.image), {}
    golden.run(model, image[None], tensors=tensors)
    assert report["indices"] == tensors["blocks.0.kept"].tolist()
    assert np.shape(report["features"]) == (1, 6, 32) and report["indices"][0][-1] == 16


def test_the_host_network_follows_the_features(stand_in, tmp_path, capsys, monkeypatch):
    model = random_model(width=32, blocks=((2, 64),), output="tokens")
    content = b"a network"
    (tmp_path / "a.host.onnx").write_bytes(content)
    host = HostNetwork("a.host.onnx", sha256(content).hexdigest())
    assert isinstance(model.output, Features)
    replace(model, output=replace(model.output, host=host)).save(tmp_path / "a.pulsar")
    arguments = (tmp_path / "a.pulsar", DIGIT, "--json", tmp_path / "run.json")

    monkeypatch.setattr("sim.host.load_host", lambda *_: lambda found: {"sum": found.sum(axis=1)})
    assert run(*arguments) == 0
    assert "sum of the host network: (1,)" in capsys.readouterr().out
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["host"]["sum"] == pytest.approx([sum(report["features"][0])], abs=1e-4)

    monkeypatch.setattr("sim.host.load_host", lambda *_: None)
    assert run(*arguments) == 0
    assert "onnxruntime is not installed" in capsys.readouterr().err
    assert json.loads((tmp_path / "run.json").read_text())["host"] is None

    (tmp_path / "a.host.onnx").unlink()
    assert run(*arguments) == 2


def test_a_single_class(stand_in, tmp_path):
    random_model(blocks=((4, 64),), classes=1).save(tmp_path / "one.pulsar")
    assert run(tmp_path / "one.pulsar", DIGIT) == 0


def test_refused_in_one_line(never, tmp_path, capsys):
    large = tmp_path / "large.pulsar"
    random_model(blocks=((4, 8192),)).save(large)
    truncated, altered = tmp_path / "truncated.pulsar", tmp_path / "altered.pulsar"
    data = MODEL.read_bytes()
    for path, content in ((truncated, data[:-1]), (altered, data[:-1] + bytes([data[-1] ^ 1]))):
        with atomic_write(path) as file:
            file.write(content)
    deep = tmp_path / "deep.png"
    Image.new("I;16", (28, 28)).save(deep)
    for args, message in (
        ([MODEL], "no image given: name at least one image file after the model"),
        ([MODEL, DIGIT, "--board", "zcu106"], "unknown board 'zcu106': choose one of kv260, sim,"),
        ([MODEL, DIGIT, "--engine", "huge"], "unknown engine 'huge': choose one of tiny,"),
        ([DIGIT, DIGIT], f"{DIGIT}: truncated, or not an integer model ("),
        ([truncated, DIGIT], f"{truncated}: truncated, or not an integer model ("),
        ([altered, DIGIT], f"{altered}: altered since it was written: its content does not"),
        ([large, DIGIT], "blocks.0.fc2, a row tile of 8192 terms: 2,048 needed, 1,024 available"),
        ([MODEL, MODEL], f"{MODEL}: cannot be read: not an image of PNG,"),
        ([MODEL, deep], f"{deep}: pixel mode I;16 has more than 8 bits per channel"),
        ([MODEL, tmp_path], f"{tmp_path}: not a file"),
        ([MODEL, DIGIT, "--json", deep / "x"], f"Not a directory: {deep}"),
    ):
        assert run(*args) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"{PROG}: error: {message}")


def test_unwritable_cache(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(testbench, "Engine", None)  # nothing is elaborated
    assert run(MODEL, DIGIT) == 2
    assert capsys.readouterr().err == (
        f"{PROG}: error: cannot write to cache directory {tmp_path / 'file'}"
        " (environment variable PULSAR_CACHE chooses another): Not a directory\n"
    )
