"""The whole command: a model, a folder of images, the float network."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from nas.evaluate import job
from nas.evaluate.__main__ import main
from nas.evaluate.answers import result
from nas.importer import load
from rtl.cli import command
from rtl.model import Features
from tests.nas.evaluate.models import NAMES, network, quantized, save_images
from tests.nas.importer import tiny
from tests.nas.quantize.networks import random_images

IMAGES = random_images(24, seed=11)


def evaluate(*args: object) -> int:
    return command(main, prog="python -m nas.evaluate", args=[*map(str, args), "--workers", "0"])


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A model, its float network, and images labelled with that network's answers."""
    folder = tmp_path_factory.mktemp("classified")
    exact = network()
    quantized(exact).save(folder / "a.pulsar")
    labels = [NAMES[i] for i in result(exact, IMAGES).argmax(1)]
    save_images(IMAGES, folder / "images", labels)
    save_images(IMAGES, folder / "flat")
    return folder, exact


@pytest.fixture
def read(classified, monkeypatch):
    """Let --float give the network, whatever its name."""
    monkeypatch.setattr(job, "read", lambda name, options: classified[1])


def written(folder, *args: object) -> dict:
    assert not evaluate(folder / "a.pulsar", *args, "--json", folder / "a.json")
    return json.loads((folder / "a.json").read_text())


def test_a_folder_of_one_class(classified, tmp_path, capsys):
    """Accuracy is that of the one class; the network's other classes are no images."""
    folder, exact = classified
    answers = result(exact, IMAGES).argmax(1)
    own = [i for i, answer in enumerate(answers) if answer == answers[0]]
    save_images(IMAGES[own], tmp_path / "one", [NAMES[answers[0]]] * len(own))
    found = written(folder, "--data", tmp_path / "one")
    assert (found["images"], found["matching"]) == (len(own), "by name")
    assert found["top1"]["integer"] > 0.5 and found["top1"]["float"] is None
    assert "top-1" in capsys.readouterr().out


def test_accuracy_beside_the_float_network(classified, read, capsys):
    folder, _ = classified
    found = written(folder, "--data", folder / "images", "--float", "x", "--batch", "7")
    shown = capsys.readouterr()
    assert "top-1" in shown.out and "class folders are matched by name" in shown.err
    assert "random: licence none" in shown.err
    top = found["top1"]
    assert found["images"] == 24 and top["float"] == 1.0
    assert top["integer"] == found["agreement"] > 0.6
    assert top["difference"] == pytest.approx(top["integer"] - 1)
    low, high = top["difference_interval"]
    assert -1 < low < top["difference"] < high < 0.2
    assert (found["top5"], found["noise"], found["matching"]) == (None, None, "by name")


def test_accuracy_alone(classified):
    folder, _ = classified
    found = written(folder, "--data", folder / "images", "--limit", 10)
    assert found["images"] == 10 and found["top1"]["integer"] > 0.5
    assert found["top1"]["float"] is None and found["agreement"] is None


def test_agreement_without_labels(classified, read):
    folder, _ = classified
    found = written(folder, "--data", folder / "flat", "--float", "x")
    assert found["top1"] is None and 0.6 < found["agreement"] <= 1


def test_noise(classified, read, capsys):
    folder, _ = classified
    args = ("--data", folder / "flat", "--float", "x", "--noise", "--noise-images", 12)
    noise = written(folder, *args)["noise"]
    assert noise["images"] == 12
    assert noise["root_of_squares"] == pytest.approx(noise["total"], rel=0.3)
    assert "all together" in capsys.readouterr().out


def test_a_page_to_look_at(classified, read, capsys):
    folder, _ = classified
    page = folder / "new" / "report.html"
    args = ("--data", folder / "images", "--float", "x", "--report", page, "--board", "sim")
    written(folder, *args)
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 6 and "class: " in text and "Roofline" in text
    assert f"Wrote {page}" in capsys.readouterr().out


def test_a_page_has_the_name_of_one(classified, capsys):
    folder, _ = classified
    args = ("--data", folder / "images", "--report", folder / "report.pdf")
    assert evaluate(folder / "a.pulsar", *args) == 2
    assert "report.pdf: a page's name ends in .html" in capsys.readouterr().err
    assert not (folder / "report.pdf").exists()


def test_an_interrupted_run_leaves_no_page(classified, monkeypatch):
    folder, _ = classified
    monkeypatch.setattr(job, "_evaluate", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    page = folder / "interrupted.html"
    assert evaluate(folder / "a.pulsar", "--data", folder / "images", "--report", page) == 130
    assert not page.exists()


def test_a_decoder_on_the_host(tmp_path):
    """The importer's ONNX file, its decoder run by onnxruntime for both."""
    path, _ = tiny.export(tmp_path)
    exact = load(path, mean=tiny.MEAN, std=tiny.STD)
    images = tiny.pixels(12)
    model = quantized(exact, images=images)
    model.save(tmp_path / "a.pulsar")
    assert exact.host and isinstance(model.output, Features) and model.output.host
    (tmp_path / "a.host.onnx").write_bytes(exact.host)
    save_images(images, tmp_path / "images")
    statistics = [word for name in ("MEAN", "STD") for word in getattr(tiny, name)]
    flags = ("--mean", *statistics[:3], "--std", *statistics[3:])
    found = written(tmp_path, "--data", tmp_path / "images", "--float", path, *flags)
    like = found["likeness"]
    assert like["features"]["relative_error"] < 0.3 and like["features"]["cosine"] > 0.9
    assert like["output"]["correlation"] > 0.8
    source = onnxruntime.InferenceSession(path)
    pixels = tiny.normalised(images, torch.float32).numpy()
    (wanted,) = source.run(None, {"image": pixels})
    answers = job.float_answers(exact, job.open_host(tmp_path / "a.pulsar", model.output.host))
    assert np.abs(answers(images).outputs["output"] - wanted).max() < 1e-4


def test_a_classifier_on_the_host(tmp_path, monkeypatch, capsys):
    """Its classes are those of the folders, if they are numbered; they need no names."""
    exact = replace(network(0), class_names=())
    model = quantized(exact)
    model.save(tmp_path / "a.pulsar")
    monkeypatch.setattr(job, "_host", lambda options, model: lambda x: {"logits": x[:, :3]})
    features = job.integer_answers(model)(IMAGES).features
    assert features is not None
    labels = features[:, :3].argmax(1)
    save_images(IMAGES, tmp_path / "numbered", [str(label) for label in labels])
    found = written(tmp_path, "--data", tmp_path / "numbered")
    assert (found["top1"]["integer"], found["matching"]) == (1.0, "by number")
    save_images(IMAGES, tmp_path / "named", ["ant", "bee"] * 12)
    assert evaluate(tmp_path / "a.pulsar", "--data", tmp_path / "named") == 2
    said = capsys.readouterr().err
    assert "the network has no class 'ant'" in said and "its images count as unlabelled" in said
    monkeypatch.setattr(job, "read", lambda name, options: exact)
    found = written(tmp_path, "--data", tmp_path / "named", "--float", "x")
    assert found["top1"] is None and found["agreement"] > 0.6


def refused(capsys, *args: object) -> str:
    assert evaluate(*args) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("python -m nas.evaluate: error: ")
    return message.partition("error: ")[2]


def test_what_is_refused(classified, read, monkeypatch, tmp_path, capsys):
    folder, exact = classified
    model, images, flat = folder / "a.pulsar", folder / "images", folder / "flat"
    assert "no such file" in refused(capsys, folder / "b.pulsar", "--data", images)
    assert "no such folder" in refused(capsys, model, "--data", folder / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no image" in refused(capsys, model, "--data", tmp_path / "empty")
    message = (
        "flat has no class folders, and there are no --labels: give the float network to compare"
        " with by --float"
    )
    assert refused(capsys, model, "--data", flat).endswith(message)
    other = replace(exact, image=(8, 8, 3))
    monkeypatch.setattr(job, "read", lambda name, options: other)
    message = refused(capsys, model, "--data", images, "--float", "x")
    assert "takes images of 8 x 8 x 3" in message
    message = refused(capsys, model, "--data", images, "--device", "abacus")
    assert message.startswith("--device abacus cannot be used: ")
    quantized(network(0)).save(tmp_path / "t.pulsar")
    message = refused(capsys, tmp_path / "t.pulsar", "--data", images)
    assert "has no classifier: give the float network" in message


def test_a_quantized_model_is_no_float_network(classified, capsys):
    folder, _ = classified
    model = folder / "a.pulsar"
    message = refused(capsys, model, "--data", folder / "images", "--float", model)
    assert "is quantized already" in message
