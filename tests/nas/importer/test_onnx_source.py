"""ONNX files: the canonical network computes what the source does, and facts about it."""

import hashlib
import json
import warnings
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from nas.importer import known, load
from nas.importer.checks import tensors
from nas.importer.forward import features, forward, logits
from rtl.errors import UserError
from rtl.model import Preprocessing
from tests.nas.importer import timm_models, torch_exports
from tests.nas.importer.tiny import MEAN, STD, Style, export, normalised, pixels


class QuickGelu(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def imported(folder, style):
    path, module = export(folder, style)
    return load(path, mean=MEAN, std=STD), module, path


@pytest.mark.parametrize(
    "style, kind",
    [
        (Style("tokens"), "erf"),
        (Style("tokens", nn.GELU("tanh"), fused=True), "tanh"),
        (Style("tokens", QuickGelu(), registers=2), "quick"),
        (Style("tokens", before=nn.LayerNorm), "erf"),
    ],
)
def test_tokens_are_the_sources(tmp_path, style, kind):
    network, module, path = imported(tmp_path, style)
    assert (network.tokens, network.patches, network.registers, network.class_token) == (
        *(10 + style.registers, 9, style.registers),
        True,
    )
    assert (network.pool, network.head, network.host) == ("all", None, None)
    assert (network.norm.epsilon, network.blocks[0].norm1.epsilon) == (1e-5, 1e-6)
    assert network.blocks[1].activation == kind
    assert (network.front is not None) == (style.before is not None)
    assert (network.blocks[0].scale1 < 0).any() and (network.blocks[0].scale1 > 0).any()
    found = features(network, forward(network, pixels()))
    expected = module.double()(normalised(pixels(), torch.float64)).detach()
    first = 1 + style.registers
    expected = torch.cat([expected[:, first:], expected[:, 1:first], expected[:, :1]], 1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    session = onnxruntime.InferenceSession(path)
    (runtime,) = session.run(None, {"image": normalised(pixels(), torch.float32).numpy()})
    assert np.abs(np.asarray(runtime)[:, 0] - found[:, -1].numpy()).max() < 1e-4


def test_a_classifier_on_the_class_token_is_the_networks_own(tmp_path):
    network, module, _ = imported(tmp_path, Style("classes"))
    assert (network.pool, network.host) == ("token", None)
    found = logits(network, forward(network, pixels()))
    expected = module.double()(normalised(pixels(), torch.float64)).detach()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_files_as_torchs_newer_exporter_writes_them(tmp_path):
    """A mask of zeros in front of each softmax, and a guard behind it, change nothing."""
    path, module = export(tmp_path, Style("classes"))
    model = onnx.load(path)
    zeros = np.zeros((1, 1, 10, 10), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(zeros, "mask"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    for number, softmax in enumerate([n for n in model.graph.node if n.op_type == "Softmax"]):
        place, weights = list(model.graph.node).index(softmax), softmax.output[0]
        masked, raw, lost = (f"{kind}{number}" for kind in ("masked", "raw", "lost"))
        add = helper.make_node("Add", [softmax.input[0], "mask"], [masked])
        softmax.input[0], softmax.output[0] = masked, raw
        test = helper.make_node("IsNaN", [raw], [lost])
        guard = helper.make_node("Where", [lost, "zero", raw], [weights])
        for offset, node in ((1, guard), (1, test), (0, add)):
            model.graph.node.insert(place + offset, node)
    onnx.save(model, path)
    network = load(path, mean=MEAN, std=STD)
    found = logits(network, forward(network, pixels()))
    expected = module.double()(normalised(pixels(), torch.float64)).detach()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def assert_same(found, expected):
    """All tensors of two networks are equal, and what they read."""
    found, expected = (dict(tensors(network)) for network in (found, expected))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=0, msg=name)


def as_timm(folder, model, **config):
    """The import of a timm model by way of a folder as timm saves it."""
    save_file(model.state_dict(), folder / "model.safetensors")
    content = json.dumps(config | {"pretrained_cfg": {"mean": MEAN, "std": STD}})
    (folder / "config.json").write_text(content)
    return load(folder)


@pytest.mark.parametrize(
    "exporter", ["older, opset 14", "older, opset 17", "newer, 18", "newer, 23"]
)
def test_clips_tower_is_the_same_from_onnx_and_from_timm(tmp_path, exporter):
    kind, opset = exporter.split(",")[0], int(exporter[-2:])
    path = torch_exports.NEWER.get(opset) or tmp_path / "clip.onnx"
    if kind == "older":
        torch_exports.export_older(path, opset)
    network = load(path, mean=MEAN, std=STD)
    names = {"architecture": torch_exports.CLIP, "model_args": torch_exports.SIZES}
    expected = as_timm(tmp_path, torch_exports.clip(), **names)
    assert network.front and expected.front and network.blocks[0].activation == "quick"
    assert (network.pool, network.host) == (expected.pool, None)
    assert_same(network, expected)


@pytest.mark.parametrize("opset", [9, 14])
def test_queries_keys_and_values_without_a_bias(tmp_path, opset):
    model = timm_models.saved(tmp_path, "vit_small_patch16_224", qkv_bias=False)
    for block in model.blocks:
        block.attn.fused_attn = opset >= 14  # no fused attention in older opsets
    path = tmp_path / "biasless.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (torch.zeros(1, 3, 32, 32),), path, opset_version=opset, dynamo=False
        )
    network = load(path, mean=timm_models.CONFIG["mean"], std=timm_models.CONFIG["std"])
    assert not network.blocks[0].q.bias.any() and network.blocks[0].proj.bias.any()
    assert_same(network, load(tmp_path))


@pytest.mark.parametrize("pool", ["token", "mean"])
def test_features_of_fewer_tokens_leave_the_decoder_out(tmp_path, pool):
    path, _ = export(tmp_path, Style("decoder"))
    network = load(path, mean=MEAN, std=STD, pool=pool)
    assert (network.pool, network.head, network.host) == (pool, None, None)


def test_a_decoder_is_the_hosts(tmp_path):
    network, _, path = imported(tmp_path, Style("decoder", registers=1))
    assert network.host and network.head is None
    found = features(network, forward(network, pixels(3))).float().numpy()
    (found,) = onnxruntime.InferenceSession(network.host).run(None, {"features": found})
    image = normalised(pixels(3), torch.float32).numpy()
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"image": image})
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-5)


def test_facts_about_the_file(tmp_path):
    network, _, path = imported(tmp_path, Style("tokens"))
    assert network.source == {
        **{"name": "tiny", "file": "tiny.onnx", "epsilon": 1e-5, "opset": 14},
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "producer": f"pytorch {torch.__version__.partition('+')[0]}",
        "outputs": ["output"],
    }
    assert network.preprocessing == Preprocessing((12, 12), "RGB", 12, "bicubic", margin="even")


def test_a_known_file_needs_no_options(tmp_path, monkeypatch):
    path, _ = export(tmp_path, Style("tokens"))
    (facts,) = known.KNOWN.values()
    steps = Preprocessing((12, 12), "RGB", 14, "bilinear")
    own = replace(facts, preprocessing=steps, name="own")
    monkeypatch.setitem(known.KNOWN, hashlib.sha256(path.read_bytes()).hexdigest(), own)
    network = load(path)
    assert network.mean.tolist() == list(facts.mean) and network.preprocessing == steps
    assert (network.source["name"], network.source["license"]) == ("own", facts.license)
    assert load(path, mean=(0.5,), std=(0.25,)).std.tolist() == [0.25] * 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "tiny.onnx does not say how its pixels were normalised: give --mean and --std"),
        ({"classes": 7}, "--classes is for timm's models: tiny.onnx has its own"),
        (
            {"image_size": 15, "mean": (0.5,), "std": (0.2,)},
            "no multiple of the patch size 4: try 12",
        ),
    ],
)
def test_wrong_options(tmp_path, options, message):
    path, _ = export(tmp_path, Style("tokens"))
    with pytest.raises(UserError, match=message):
        load(path, **options)
