"""``python -m nas.quantize``: from a saved network and a folder of pictures to a model file."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from boards.host.features import features
from boards.host.pictures import prepare
from nas.evaluate.__main__ import main as evaluate
from nas.importer import load
from nas.importer.forward import forward, output
from nas.numerics.integer import IntegerNetwork
from nas.quantize import __main__ as quantize
from rtl.board import load_board
from rtl.cli import command
from rtl.config import TINY_SELECT
from rtl.model import Features, IntegerModel
from sim import golden, runner
from tests.nas.importer import tiny
from tests.nas.importer.timm_models import saved


def run(*args):
    return command(quantize.main, prog="python -m nas.quantize", args=[str(arg) for arg in args])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
        coarse.resize((60, 50), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return the folder of a timm model with two blocks and seven classes."""
    folder = tmp_path_factory.mktemp("timm")
    saved(folder, "vit_tiny_patch16_224", num_classes=7)
    return folder


def test_timm_model_to_golden(classifier, pictures, tmp_path, capsys):
    out = tmp_path / "a.pulsar"
    assert run(classifier, "--images", pictures, "--board", "sim", "--out", out) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["a.pulsar"]
    model, network = IntegerModel.load(out), load(classifier)
    images = np.stack(
        [prepare(file, model.preprocessing, model.image) for file in sorted(pictures.iterdir())]
    )
    logits = golden.run(model, images) * model.classifier.output_scale
    wanted = output(network, forward(network, torch.from_numpy(images))).numpy()
    assert np.corrcoef(logits.ravel(), wanted.ravel())[0, 1] > 0.97
    printed = capsys.readouterr().out
    assert model.hash[:16] in printed and "licence mit" in printed


def test_some_patches_stay(classifier, pictures, tmp_path, capsys):
    out, network = tmp_path / "a.pulsar", load(classifier)
    arguments = ("--images", pictures, "--board", "sim", "--engine", "tiny_select", "--out", out)
    assert run(classifier, *arguments, "--keep", "0:0.5") == 0
    model, keep = IntegerModel.load(out), -(-network.patches // 2)
    assert [block.keep for block in model.blocks] == [keep, None]
    assert f"{keep} behind block 0" in capsys.readouterr().out
    found = tmp_path / "a.json"
    command_line = [out, "--data", pictures, "--float", classifier, "--json", found]
    assert command(evaluate, prog="nas.evaluate", args=[str(each) for each in command_line]) == 0
    measured = json.loads(found.read_text())
    assert measured["selection"]["own"]["0"] == measured["selection"]["same"]["0"] > 0.8
    assert measured["agreement"] > 0.7


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("0:half", "--keep has '0:half': it must be BLOCK:COUNT or BLOCK:RATIO, such as 3:143"),
        ("0:999", "blocks.0.keep is 999: it must be an integer from 1 to"),
        ("1:3", "blocks.1.keep is 3: nothing behind the last block would be spared"),
        ("2:3", "there is no block 2, the network has 2, counted from 0 to 1"),
        ("0:3", "blocks.0 keeps 3 of"),  # the board's own engine selects none
    ],
)
def test_what_cannot_be_kept_is_said_at_once(keep, said, classifier, pictures, tmp_path, capsys):
    out = tmp_path / "a.pulsar"
    arguments = ("--images", pictures, "--board", "sim", "--out", out, "--keep", keep)
    assert run(classifier, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.sim
def test_features_of_the_tokens_that_are_left(pictures, tmp_path):
    saved(tmp_path, "vit_tiny_patch16_224", num_classes=0)
    arguments = ("--images", pictures, "--board", "sim", "--engine", "tiny_select", "--keep", "0:5")
    out, found = tmp_path / "a.pulsar", tmp_path / "a.json"
    assert run(tmp_path, *arguments, "--pool", "all", "--out", out) == 0
    command_line = [out, "--data", pictures, "--float", tmp_path, "--json", found]
    assert command(evaluate, prog="nas.evaluate", args=[str(each) for each in command_line]) == 0
    model, tensors = IntegerModel.load(out), {}
    images = np.stack([prepare(pictures / "3.png", model.preprocessing, model.image)])
    golden.run(model, images, tensors=tensors)
    on_engine = runner.run(model, images, load_board("sim"), engine=TINY_SELECT)
    assert on_engine.exact and on_engine.indices is not None
    assert np.array_equal(on_engine.indices, tensors["blocks.0.kept"])
    assert json.loads(found.read_text())["selection"]["own"]["0"] > 0.5


KINDS = {
    "a norm in front": ("vit_base_patch32_clip_224", {"num_classes": 3}),
    "attention pooling": ("vit_base_patch16_siglip_224", {}),
    "registers": ("vit_small_patch14_reg4_dinov2", {"num_classes": 3}),
}
"""Kinds of networks: timm's name of one, and arguments that make it small."""


@pytest.mark.sim
@pytest.mark.parametrize(("architecture", "arguments"), KINDS.values(), ids=KINDS)
def test_every_kind_is_the_same_everywhere(architecture, arguments, pictures, tmp_path):
    """Random weights in timm's network: golden, integer mode and the RTL give the same codes."""
    saved(tmp_path, architecture, **arguments)
    out = tmp_path / "a.pulsar"
    assert run(tmp_path, "--images", pictures, "--board", "sim", "--out", out) == 0
    model = IntegerModel.load(out)
    assert model.info["fold_difference"] < 1e-12
    images = np.stack([prepare(pictures / "3.png", model.preprocessing, model.image)])
    output = golden.run(model, images)
    assert np.array_equal(IntegerNetwork(model).run(torch.from_numpy(images)).numpy(), output)
    on_engine = runner.run(model, images, load_board("sim"))
    assert on_engine.exact and np.array_equal(on_engine.output, output)


def test_a_classifier_behind_attention_pooling(pictures, tmp_path):
    """The host classifies: accuracy is measured like that of any classifier."""
    saved(tmp_path, "vit_base_patch16_siglip_224", num_classes=3)
    out, found = tmp_path / "a.pulsar", tmp_path / "a.json"
    arguments = ("--images", pictures, "--board", "sim", "--report", tmp_path / "a.html")
    assert run(tmp_path, *arguments, "--out", out) == 0
    assert (tmp_path / "a.host.onnx").is_file()
    for number, file in enumerate(sorted(pictures.iterdir())):
        folder = tmp_path / "images" / str(number % 3)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    command_line = [out, "--data", tmp_path / "images", "--float", tmp_path, "--json", found]
    assert command(evaluate, prog="nas.evaluate", args=[str(each) for each in command_line]) == 0
    measured = json.loads(found.read_text())
    assert measured["agreement"] > 0.7 and 0 <= measured["top1"]["integer"] <= 1
    assert "Error budget" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert measured["likeness"]["features"]["relative_error"] < 0.3


def test_a_page_to_look_at(pictures, tmp_path):
    """Of a network with a decoder, whose map is among the answers."""
    source, _ = tiny.export(tmp_path)
    page = tmp_path / "a.html"
    arguments = ("--images", pictures, "--board", "sim", "--out", tmp_path / "a.pulsar")
    flags = [("--mean", *tiny.MEAN), ("--std", *tiny.STD)]
    assert run(source, *arguments, *(x for f in flags for x in f), "--report", page) == 0
    text = page.read_text(encoding="utf-8")
    assert "Error budget" in text and "tokens, float" in text and "output, integer" in text
    assert "which it was calibrated with" in text


def test_network_with_a_decoder(pictures, tmp_path):
    (source, _), out = tiny.export(tmp_path), tmp_path / "b.pulsar"
    statistics = ("--mean", *tiny.MEAN, "--std", *tiny.STD)
    images = ("--images", pictures, "--board", "sim")
    assert run(source, *images, "--out", out, *statistics) == 0
    model = IntegerModel.load(out)
    assert isinstance(model.output, Features) and model.output.host
    host = tmp_path / "b.host.onnx"
    assert model.output.host.file == host.name
    assert model.output.host.sha256 == hashlib.sha256(host.read_bytes()).hexdigest()
    image = prepare(pictures / "3.png", model.preprocessing, model.image)[None]
    network = load(source, mean=tiny.MEAN, std=tiny.STD)
    found = features(model.output, golden.run(model, image), network.patches)
    wanted = output(network, forward(network, torch.from_numpy(image))).numpy()
    assert np.linalg.norm(found - wanted) < 0.15 * np.linalg.norm(wanted)


def test_more_cycles_more_eight_bit_rows(classifier, pictures, tmp_path, capsys):
    shares = []
    for limit in (3_000, 6_000):
        out = tmp_path / f"{limit}.pulsar"
        code = run(
            classifier, "--images", pictures, "--board", "sim", "--out", out, "--cycles", limit
        )
        printed = capsys.readouterr()
        if code == 2:
            assert f"more than the limit of {limit:,}" in printed.err
            assert not out.exists()
            shares.append(0.0)
            continue
        layers = IntegerModel.load(out).linears()
        bits = [layer.bits for name, layer in layers.items() if name.startswith("blocks.")]
        shares.append(float((np.concatenate(bits) == 8).mean()))
    assert shares[0] < shares[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "mixed"), "--weights mixed needs a rate or a number of cycles"),
        (("--weights", "4", "--fps", "100"), "--weights 4 leaves no choice"),
        (("--fps", "10", "--cycles", "1000"), "--fps and --cycles say the same"),
        (("--fps", "0"), "--fps must be positive, not 0"),
        (("--act-bits", "8"), "--act-bits 8: engine 'tiny' has 6"),
        (("--images", "/nowhere"), "/nowhere: no such folder"),
        (("--board", "moon"), "moon"),
        (("--device", "toaster"), "--device toaster cannot be used"),
        (("--most-images", "1"), "--most-images must be at least 2, not 1"),
        (("--out", "model.onnx"), "--out model.onnx: a model file's name ends in .pulsar"),
    ],
)
def test_mistakes_are_one_line(classifier, pictures, tmp_path, capsys, options, message):
    out = tmp_path / "c.pulsar"
    given = {"--images": pictures, "--board": "sim", "--out": out}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    arguments = [part for pair in given.items() for part in pair]
    assert run(classifier, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_not_made_for_nothing(classifier, tmp_path):
    out = tmp_path / "new" / "d.pulsar"
    assert run(classifier, "--images", tmp_path, "--board", "sim", "--out", out) == 2
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_written_leaves_no_host_network(tmp_path, monkeypatch):
    def full(model, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(IntegerModel, "save", full)
    model = IntegerModel.load("tests/conformance/tokens.pulsar")
    with pytest.raises(OSError, match="No space left"):
        quantize.save(model, tmp_path / "e.pulsar", b"host", tmp_path / "e.host.onnx")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_found_before_the_work(classifier, pictures, tmp_path, capsys, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=900_000))
    monkeypatch.setattr(quantize, "quantize", lambda *args, **options: pytest.fail("began"))
    out = tmp_path / "full.pulsar"
    assert run(classifier, "--images", pictures, "--board", "sim", "--out", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device: 0 MB free, " in line and str(tmp_path) in line
    assert not list(tmp_path.iterdir())
