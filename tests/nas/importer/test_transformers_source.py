"""Folders of the transformers library: the canonical network computes what timm's does.

That timm's weights with other names are what the library writes was checked against the library
itself, version 5.24, with random weights of every family: logits and features differ by less than
1e-6 from its float32.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from nas.cost.networks import NamedNetwork
from nas.importer import load
from nas.importer.forward import features, forward, logits
from rtl.errors import UserError
from rtl.model import Preprocessing
from tests.nas.importer.timm_models import normalised, pixels
from tests.nas.importer.transformers_folders import PROCESSOR, SIZES, saved


def assert_exact(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def expected(model, images, what="forward"):
    inputs = normalised(images, PROCESSOR["image_mean"], PROCESSOR["image_std"])
    return getattr(model.double(), what)(inputs).detach()


def tokens_of(network):
    return features(network, forward(network, pixels(network.image[0])))


@pytest.mark.parametrize(
    ("kind", "prefix", "arguments"),
    [
        ("vit", "vit.", {}),
        ("vit_msn", "vit.", {"qkv_bias": False}),
        ("vit", "vit.", {"act_layer": "gelu_tanh"}),
    ],
)
def test_classes(tmp_path, kind, prefix, arguments):
    config = {
        "qkv_bias": arguments.get("qkv_bias", True),
        "hidden_act": "gelu_new" if "act_layer" in arguments else "gelu",
        "architectures": ["ViTForImageClassification"],
        "id2label": {str(number): f"class {number}" for number in range(5)},
    }
    model = saved(tmp_path, kind, prefix, config, num_classes=5, **arguments)
    network = load(tmp_path)
    assert_exact(logits(network, forward(network, pixels())), expected(model, pixels()))
    assert network.class_names == tuple(f"class {number}" for number in range(5))
    assert network.source["architecture"] == "ViTForImageClassification"
    assert network.preprocessing == Preprocessing((32, 32), "RGB", (36, 36), "bicubic")
    assert load(tmp_path, classes=0).source["notes"] == ["left out the classifier"]


@pytest.mark.parametrize(
    ("kind", "prefix", "arguments"),
    [
        ("vit", "", {}),
        ("vit_mae", "vit.", {}),
        ("dinov2", "", {"init_values": 0.1}),
        (
            "dinov2_with_registers",
            "",
            {"init_values": 0.1, "reg_tokens": 3, "no_embed_class": False},
        ),
        ("clip_vision_model", "vision_model.", {}),
        ("clip_vision_model", "", {}),
    ],
)
def test_tokens(tmp_path, kind, prefix, arguments):
    model = saved(tmp_path, kind, prefix, **arguments)
    if registers := arguments.get("reg_tokens", 0):  # timm gives them positions, the library none
        move_positions(tmp_path, model, registers)
    network = load(tmp_path, pool="all")
    assert (network.registers, network.head) == (registers, None)
    found = expected(model, pixels(), "forward_features")
    first = 1 + registers
    found = torch.cat([found[:, first:], found[:, 1:first], found[:, :1]], 1)
    assert_exact(tokens_of(network), found)
    assert load(tmp_path).pool == "token"


def move_positions(folder, model, registers):
    """Add the positions of registers to these."""
    tensors = {k: v.double() for k, v in load_file(folder / "model.safetensors").items()}
    position = tensors["embeddings.position_embeddings"]
    tensors["embeddings.register_tokens"] += position[:, 1 : 1 + registers]
    kept = [position[:, :1], position[:, 1 + registers :]]
    tensors["embeddings.position_embeddings"] = torch.cat(kept, 1)
    save_file(tensors, folder / "model.safetensors")
    assert model.pos_embed.shape[1] == 17 + registers


def altered(folder, change):
    """Change the weights of a saved model."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_deits_token_of_distillation_is_a_register(tmp_path):
    """It takes part in attention; the classifier of the class token alone is read."""
    model = saved(tmp_path, "deit", "deit.", reg_tokens=1, num_classes=5)

    def rename(tensors):
        token = tensors.pop("deit.embeddings.register_tokens")
        tensors["deit.embeddings.distillation_token"] = token

    altered(tmp_path, rename)
    network = load(tmp_path)
    assert (network.registers, network.tokens) == (1, 18)
    assert_exact(logits(network, forward(network, pixels())), expected(model, pixels()))
    altered(tmp_path, lambda t: t.update({"distillation_classifier.weight": torch.ones(5, 24)}))
    with pytest.raises(UserError, match=r"two classifiers, .*; --classes 0 gives features"):
        load(tmp_path)
    assert load(tmp_path, classes=0).head is None


def test_blocks_without_the_prefix(tmp_path):
    """Version 5.24 of the library writes MSN's so, and reads them back."""
    saved(tmp_path, "vit_msn", "vit.", num_classes=5)
    before = load(tmp_path)

    def rename(tensors):
        for key in [key for key in tensors if key.startswith("vit.encoder.")]:
            tensors[key.removeprefix("vit.")] = tensors.pop(key)

    altered(tmp_path, rename)
    after = load(tmp_path)
    found = [logits(network, forward(network, pixels())) for network in (before, after)]
    assert found[0].equal(found[1])


def test_clip_with_its_text_model_and_projection(tmp_path):
    """Sizes are those of ``vision_config``; features are those behind the projection."""
    model = saved(tmp_path, "clip_vision_model", "vision_model.")
    projection = torch.randn(7, 24, generator=torch.Generator().manual_seed(2))
    more = {
        "visual_projection.weight": projection,
        "text_model.final_layer_norm.bias": torch.ones(9),
    }
    altered(tmp_path, lambda t: t.update({**more, "logit_scale": torch.ones(())}))
    vision = {**SIZES, "layer_norm_eps": model.norm.eps, "model_type": "clip_vision_model"}
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "clip", "vision_config": vision, "text_config": {}})
    )
    network = load(tmp_path)
    token = expected(model, pixels(), "forward_features")[:, 0]
    assert_exact(tokens_of(network)[:, -1], token @ projection.double().T)
    assert network.source["notes"] == ["features are those behind CLIP's projection"]
    assert network.front is not None and network.blocks[0].activation == "quick"


def test_dinov2_takes_images_as_its_processor_crops_them(tmp_path):
    """The library resamples its positions by itself, without antialiasing."""
    sizes = {"size": {"shortest_edge": 28}, "crop_size": {"height": 24, "width": 24}}
    processor = {**PROCESSOR, **sizes}
    saved(tmp_path, "dinov2", processor=processor, init_values=0.1)
    network = load(tmp_path)
    assert network.image == (24, 24, 3)
    assert network.preprocessing == Preprocessing((24, 24), "RGB", 28, "bicubic")
    assert network.source["notes"] == ["positions resampled from 4 x 4 to 3 x 3 patches"]
    own = load(tmp_path, image_size=32)
    assert own.preprocessing == Preprocessing((32, 32), "RGB", 37, "bicubic")
    grid = own.position[:16].reshape(1, 4, 4, 24).permute(0, 3, 1, 2)
    resampled = torch.nn.functional.interpolate(grid.float(), (3, 3), mode="bicubic")
    torch.testing.assert_close(
        network.position[:9].float(), resampled[0].flatten(1).T, rtol=1e-6, atol=1e-6
    )


def test_other_image_sizes_on_request(tmp_path):
    saved(tmp_path, "vit")
    network = load(tmp_path, image_size=48)
    assert (network.tokens, network.preprocessing.crop) == (37, (48, 48))
    assert network.preprocessing.resize == (54, 54)
    assert NamedNetwork(str(tmp_path)).shape(8).tokens == 17  # nas.fit takes a folder as well


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "swin"},
            "type 'swin' has what the engine has not: windowed attention",
        ),
        (
            {"model_type": "siglip"},
            "'siglip' are not read: export it to ONNX, or take timm's vit_",
        ),
        (
            {"layer_norm_eps": "1e-6"},
            "config.json: layer_norm_eps must be a positive number, not '1e-6'",
        ),
        (
            {"num_attention_heads": "3"},
            "config.json: num_attention_heads must be a positive whole number, not '3'",
        ),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be a positive whole number, not 0"),
        ({"model_type": "dinov3_vit"}, "has what the engine has not: rotary positions"),
        (
            {"model_type": "bert"},
            "type 'bert' is none of vit, vit_mae, vit_msn, deit, dinov2,",
        ),
        ({"use_swiglu_ffn": True}, "has what the engine has not: a gated MLP"),
        ({"hidden_act": "relu"}, "activation 'relu' is no kind of GELU"),
        ({"num_attention_heads": 5}, "5 heads do not divide the width, 24"),
        ({"image_size": 40}, "16 positions, which are not those of 40 pixels in patches of 8"),
        (
            {"num_hidden_layers": 1},
            r"has 'encoder.layer.1.\S*' \(and 15 more\), which the model",
        ),
        ({"num_hidden_layers": 3}, "no 'encoder.layer.2.attention.attention.query.weight' in its"),
    ],
)
def test_models_that_are_refused(tmp_path, config, message):
    saved(tmp_path, "vit", config=config)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 4}, "has 5 classes: drop --classes 4"),
        ({"pool": "mean"}, "--pool mean: .* has a classifier: give --classes 0"),
    ],
)
def test_options_that_do_not_fit_a_classifier(tmp_path, options, message):
    saved(tmp_path, "vit", "vit.", num_classes=5)
    with pytest.raises(UserError, match=message):
        load(tmp_path, **options)


def test_classifiers_that_are_refused(tmp_path):
    """DINOv2's reads class token and mean; CLIP's has no LayerNorm in front."""
    saved(tmp_path, "dinov2", "dinov2.", num_classes=5, init_values=0.1)
    altered(tmp_path, lambda t: t.update({"classifier.weight": torch.ones(5, 48)}))
    with pytest.raises(UserError, match="a classifier of the class token and the mean of the pat"):
        load(tmp_path)
    saved(tmp_path, "clip_vision_model", "vision_model.", num_classes=5)
    with pytest.raises(UserError, match="a classifier without a final LayerNorm in front of it"):
        load(tmp_path)
    saved(tmp_path, "vit")
    with pytest.raises(UserError, match="has no classifier: drop --classes 5, or give --classes 0"):
        load(tmp_path, classes=5)


def test_statistics_that_nobody_states_are_asked_for(tmp_path):
    saved(tmp_path, "vit", processor=None)
    with pytest.raises(UserError, match="does not say how its pixels were normalised: give --mean"):
        load(tmp_path)
    network = load(tmp_path, mean=(0.5,), std=(0.5,))
    assert network.preprocessing == Preprocessing((32, 32), "RGB", 32)


def test_weights_of_something_else(tmp_path):
    saved(tmp_path, "vit")
    save_file({"bert.embeddings.word": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"no 'embeddings.cls_token' in its weights, but bert\.emb"):
        load(tmp_path)
