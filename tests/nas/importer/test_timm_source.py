"""timm's models: the canonical network computes what timm does, to float64's precision."""

import json

import pytest
import torch

from nas.importer import load
from nas.importer.forward import features, forward, logits, output
from nas.importer.source import described
from nas.importer.timm_source import ON_HOST
from rtl.errors import UserError
from rtl.model import Preprocessing
from sim.host import load_host
from tests.nas.importer.timm_models import CONFIG, made, normalised, pixels, saved


def assert_exact(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def expected(model, images, what="forward"):
    inputs = normalised(images, CONFIG["mean"], CONFIG["std"])
    return getattr(model.double(), what)(inputs).detach()


@pytest.mark.parametrize(
    "architecture, arguments",
    [
        ("vit_tiny_patch16_224", {"num_classes": 7}),
        ("deit_small_patch16_224", {"qkv_bias": False, "act_layer": "quick_gelu"}),
        ("deit3_small_patch16_224", {"num_classes": 5, "act_layer": "gelu_tanh"}),
        ("vit_medium_patch16_gap_240", {}),
        ("vit_small_patch14_reg4_dinov2", {"num_classes": 3}),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg", "fc_norm": False}),
        ("vit_base_patch16_clip_224", {"num_classes": 4}),
        ("vit_base_patch32_clip_quickgelu_224", {"num_classes": 2, "reg_tokens": 2}),
    ],
)
def test_classes_are_timms(tmp_path, architecture, arguments):
    model = saved(tmp_path, architecture, **arguments)
    network = load(tmp_path)
    found = logits(network, forward(network, pixels()))
    assert_exact(found, expected(model, pixels()))


@pytest.mark.parametrize(
    "arguments", [{}, {"no_embed_class": True}, {"no_embed_class": True, "reg_tokens": 3}]
)
def test_tokens_without_a_classifier_are_timms(tmp_path, arguments):
    model = saved(tmp_path, "vit_small_patch14_dinov2", **arguments)
    network = load(tmp_path, pool="all")
    registers = arguments.get("reg_tokens", 0)
    assert (network.pool, network.head, network.registers) == ("all", None, registers)
    tokens = expected(model, pixels(), "forward_features")
    first = 1 + registers
    tokens = torch.cat([tokens[:, first:], tokens[:, 1:first], tokens[:, :1]], 1)
    assert_exact(features(network, forward(network, pixels())), tokens)
    assert (load(tmp_path).pool, load(tmp_path, pool="mean").pool) == ("token", "mean")


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("vit_base_patch16_siglip_224", {}),
        ("vit_base_patch16_siglip_224", {"act_layer": "gelu_tanh", "pre_norm": True}),
    ],
)
def test_attention_pooling_is_timms(tmp_path, architecture, arguments):
    model = saved(tmp_path, architecture, **arguments)
    network = load(tmp_path)
    assert (network.pool, network.norm, len(network.blocks)) == ("attention", None, 3)
    found = output(network, forward(network, pixels()))
    assert_exact(found, expected(model, pixels()))
    tokens = load(tmp_path, pool="all")
    assert not tokens.blocks[-1].pools
    tokens = features(tokens, forward(tokens, pixels()))
    assert_exact(tokens, expected(model, pixels(), "forward_features"))


def test_a_classifier_behind_attention_pooling_is_the_hosts(tmp_path):
    model = saved(tmp_path, "vit_base_patch16_siglip_224", num_classes=5)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\n")
    network = load(tmp_path, class_names=names)
    assert (network.pool, network.head, network.class_names) == ("attention", None, tuple("abcde"))
    assert network.source["notes"] == [ON_HOST]
    assert network.host
    host = load_host(network.host, "host") or pytest.fail("no onnxruntime")
    tokens = output(network, forward(network, pixels())).numpy()
    logits = torch.from_numpy(host(tokens)["logits"])
    torch.testing.assert_close(logits, expected(model, pixels()).float(), rtol=1e-4, atol=1e-4)
    alone = load(tmp_path, classes=0)
    assert (alone.host, alone.pool, alone.head) == (None, "attention", None)
    names.write_text("a\nb\n")
    with pytest.raises(UserError, match="2 class names for 5 classes"):
        load(tmp_path, class_names=names)


def test_a_name_with_a_checkpoint(tmp_path):
    """Without a configuration of its own, that of timm's default weights counts."""
    model = made("vit_tiny_patch16_224", img_size=32, patch_size=16, embed_dim=192, depth=12)
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)
    network = load("vit_tiny_patch16_224", checkpoint=path, image_size=32)
    assert network.image == (32, 32, 3) and network.tokens == 5
    assert network.mean.tolist() == [0.5] * 3
    steps = Preprocessing((32, 32), "RGB", 35, "bicubic", margin="even")
    assert network.preprocessing == steps
    assert network.source["notes"] == [
        "weights are those under 'state_dict'",
        "removed the prefix 'module.'",
        "mean and std are those of timm's weights 'augreg_in21k_ft_in1k'",
    ]
    given = load("vit_tiny_patch16_224", checkpoint=path, image_size=32, mean=(0.4,), std=(0.2,))
    assert len(given.source["notes"]) == 2
    with pytest.raises(UserError, match=r"vit_tiny: no weights: give --checkpoint FILE"):
        load("vit_tiny")


def test_positions_of_another_grid(tmp_path):
    """They are resampled on request alone, as timm does."""
    model = saved(tmp_path, "vit_tiny_patch16_224", img_size=48)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model_args"]["img_size"] = 32
    (tmp_path / "config.json").write_text(json.dumps(config))
    message = (
        r"has positions of 6 x 6 patches, the model 4 x 4: give --image-size 48 to take them as"
        r" they are, or --image-size 32 to resample them"
    )
    with pytest.raises(UserError, match=message):
        load(tmp_path)
    network = load(tmp_path, image_size=32)
    assert network.source["notes"] == ["positions resampled from 6 x 6 to 4 x 4 patches"]
    model.set_input_size(32)
    assert_exact(logits(network, forward(network, pixels())), expected(model, pixels()))
    assert load(tmp_path, image_size=48).tokens == 37
    with pytest.raises(UserError, match=r"--image-size 33 is not a multiple of the patch's 8 pix"):
        load(tmp_path, image_size=33)


def test_statistics_that_nobody_states_are_asked_for(tmp_path):
    """By a folder without them, or by a name that timm has no weights of."""
    model = saved(tmp_path, "vit_small_patch16_36x1_224", {"crop_pct": 0.8})
    asked = r"does not say how its pixels were normalised: give --mean and --std"
    with pytest.raises(UserError, match=rf"{tmp_path.name} {asked}"):
        load(tmp_path)
    network = load(tmp_path, mean=CONFIG["mean"], std=CONFIG["std"])
    assert_exact(logits(network, forward(network, pixels())), expected(model, pixels()))
    assert network.preprocessing.resize == 40
    model = made("vit_small_patch16_36x1_224", patch_size=16, embed_dim=384, depth=36, num_heads=6)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    options = {"checkpoint": tmp_path / "a.pth", "image_size": 32}
    with pytest.raises(UserError, match=rf"vit_small_patch16_36x1_224 {asked}"):
        load("vit_small_patch16_36x1_224", **options)


def test_grey_images_need_statistics_of_their_own(tmp_path):
    model = saved(tmp_path, "vit_tiny_patch16_224", in_chans=1)
    with pytest.raises(UserError, match=r"takes 1 channels, but mean and std are of 3: give --me"):
        load(tmp_path)
    network = load(tmp_path, mean=(0.1,), std=(0.3,))
    images = pixels(channels=1)
    found = logits(network, forward(network, images))
    inputs = normalised(images, (0.1,), (0.3,))
    assert_exact(found, model.double()(inputs).detach())
    assert network.preprocessing.mode == "L"


def test_facts_are_reported(tmp_path):
    saved(tmp_path, "vit_tiny_patch16_224")
    network = load(tmp_path, classes=0)
    lines = list(described(network))
    assert lines[0] == f"{tmp_path.name}: licence mit"
    assert lines[1] == "left out the classifier (head.bias, head.weight)"
    assert (network.source["architecture"], network.source["epsilon"]) == (
        "vit_tiny_patch16_224",
        1e-6,
    )


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ({"act_layer": "relu"}, {}, "activation ReLU is no kind of GELU"),
        (
            {"global_pool": "map"},
            {},
            "attention pooling of the patches alone, beside other tokens",
        ),
        ({"qk_norm": True}, {}, "has what the engine has not: a norm of queries and keys"),
        ({}, {"pool": "mean"}, "--pool mean: .* has a classifier, on token: --classes 0"),
        ({}, {"classes": 5}, "has 1,000 classes, the model 5: give --classes 1000"),
        (
            {"class_token": False, "global_pool": "avg", "fc_norm": False},
            {"classes": 0, "pool": "token"},
            "--pool token: .* has no class token",
        ),
    ],
)
def test_what_cannot_be_imported(tmp_path, arguments, options, message):
    saved(tmp_path, "vit_tiny_patch16_224", **arguments)
    with pytest.raises(UserError, match=message):
        load(tmp_path, **options)


def altered(folder, change):
    """Change the weights of a saved model."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("blocks.1.mlp.fc1.bias"), "no 'blocks.1.mlp.fc1.bias' in it$"),
        (lambda t: t.pop("head.bias"), "no 'head.bias' in it; --classes 0 gives features"),
        (lambda t: t.update(fc_norm=torch.ones(1)), "has 'fc_norm', which the model has not"),
        (
            lambda t: t.update({"norm.bias": torch.ones(3)}),
            r"'norm.bias' has shape \(3,\), the model \(24,\)",
        ),
        (
            lambda t: t.update({"norm.bias": torch.full((24,), torch.nan)}),
            "norm.bias holds values that are not finite",
        ),
        (
            lambda t: t.update({"pos_embed": torch.ones(1, 18, 24)}),
            "has 18 positions: 4 x 4 patches, 2 other tokens, of which the model has 1: is it d",
        ),
        (
            lambda t: t.update({"pos_embed": torch.ones(1, 63, 24)}),
            "63 positions are those of no square grid",
        ),
    ],
)
def test_weights_that_do_not_fit(tmp_path, change, message):
    saved(tmp_path, "vit_tiny_patch16_224")
    altered(tmp_path, change)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_deit3_in_its_authors_words(tmp_path):
    """Their layer scales are named gamma_1 and gamma_2."""
    model = saved(tmp_path, "deit3_small_patch16_224")

    def rename(tensors):
        for key in list(tensors):
            if ".ls" in key:
                name = key.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2")
                tensors[name] = tensors.pop(key)

    altered(tmp_path, rename)
    network = load(tmp_path)
    assert (network.blocks[0].scale1 < 0).any()
    assert_exact(logits(network, forward(network, pixels())), expected(model, pixels()))


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_folders_without_timms_configuration(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json.*: "):
        load(tmp_path)
