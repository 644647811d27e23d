"""Networks that a space takes, and those that are refused with every reason."""

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file

from nas.importer import load
from nas.importer.forward import forward, logits
from nas.warm.fit import grey, read_fitting
from nas.warm.source import NetworkSource
from rtl.errors import UserError
from tests.nas.importer.timm_models import CONFIG, pixels
from tests.nas.warm.networks import SPACE, source_of


def test_positions_are_resampled(tmp_path):
    source, _ = source_of(tmp_path)
    network = read_fitting(source, replace(SPACE, image=(48, 48, 3)))
    assert (network.image, network.tokens) == ((48, 48, 3), 37)


def test_grey_images_are_colours_that_are_alike(tmp_path):
    source, _ = source_of(tmp_path)
    network = load(source.name)
    alone = grey(network)
    images = pixels(channels=1)
    found = logits(alone, forward(alone, images))
    expected = logits(network, forward(network, images.expand(-1, -1, -1, 3)))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert read_fitting(source, replace(SPACE, image=(32, 32, 1))).image == (32, 32, 1)


def test_a_name_with_weights_of_any_number_of_classes(tmp_path):
    """timm's own sizes and statistics; its number of classes is looked up in the file."""
    space = replace(
        SPACE, patch=16, head_dim=64, widths=(192,), heads=(3,), depths=(12,), mlp_ratios=(4,)
    )
    model = timm.create_model("vit_tiny_patch16_224", img_size=48, num_classes=7)
    save_file(model.state_dict(), tmp_path / "seven.safetensors")
    source = NetworkSource("vit_tiny_patch16_224", str(tmp_path / "seven.safetensors"))
    network = read_fitting(source, space)
    assert network.head is not None
    assert (len(network.head.bias), network.patches, network.image) == (7, 4, (32, 32, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reg_tokens": 2}, "has not: registers (2)"),
        ({"pre_norm": True}, "has not: a LayerNorm in front of the blocks"),
        (
            {"class_token": False, "global_pool": "avg", "fc_norm": False},
            "has not: patches without a class token",
        ),
        (
            {"global_pool": "avg", "fc_norm": False, "act_layer": "quick_gelu"},
            "has not: a classifier on the mean of the patches, GELU of kind 'quick'",
        ),
    ],
)
def test_parts_that_the_supernet_has_not(tmp_path, arguments, message):
    source, _ = source_of(tmp_path, **arguments)
    with pytest.raises(UserError) as raised:
        read_fitting(source, SPACE)
    assert str(raised.value).endswith(message)


def test_a_class_token_is_refused_by_a_space_of_means(tmp_path):
    source, _ = source_of(tmp_path)
    with pytest.raises(UserError, match="has not: a class token beside its mean"):
        read_fitting(source, replace(SPACE, pool="mean"))


def test_attention_pooling_is_refused(tmp_path):
    source, _ = source_of(tmp_path, "vit_base_patch16_siglip_224")
    with pytest.raises(UserError, match="without a class token, attention pooling"):
        read_fitting(source, SPACE)


def test_unlike_epsilons_are_refused(tmp_path, monkeypatch):
    source, _ = source_of(tmp_path)
    network = load(source.name)
    assert network.norm
    other = replace(network, norm=replace(network.norm, epsilon=1e-5))
    monkeypatch.setattr("nas.warm.fit.read", lambda *_: other)
    with pytest.raises(UserError, match=r"LayerNorms of unlike epsilons \(1e-06, 1e-05\)"):
        read_fitting(source, SPACE)


def test_all_sizes_that_differ_are_named(tmp_path):
    source, _ = source_of(tmp_path, depth=3, mlp_ratio=3)
    space = replace(SPACE, image=(32, 32, 3), patch=4, widths=(16, 32), head_dim=16)
    with pytest.raises(UserError) as raised:
        read_fitting(source, space)
    assert str(raised.value).startswith(
        f"{source.name} does not fit the space's largest subnet: patch 8, not 4; width 24, not 32;"
        " dimensions per head 8, not 16; blocks 3, not 2; hidden units 72, not 128: choose"
    )


def test_unknown_statistics_are_a_matter_of_the_task_file(tmp_path):
    source, _ = source_of(tmp_path, config={})
    with pytest.raises(UserError, match="give mean and std beside its name in a task's file"):
        read_fitting(source, SPACE)
    network = read_fitting(replace(source, mean=(0.5,), std=(0.25,)), SPACE)
    assert network.mean.tolist() == [0.5] * 3 and CONFIG["mean"][1] != 0.5
