"""Shapes of networks that are imported."""

from dataclasses import replace

import pytest

from nas.cost.networks import NamedNetwork
from nas.importer.options import NetworkOptions
from rtl.errors import UserError
from rtl.model.keep import with_keep
from rtl.model.shape import plain_vit
from tests.nas.importer.timm_models import saved
from tests.nas.importer.tiny import Style, export


@pytest.fixture
def expected():
    return plain_vit(
        image=(12, 12, 3),
        patch=4,
        width=24,
        heads=3,
        head_dim=8,
        hidden=48,
        depth=2,
        classes=7,
        row_granularity=8,
        bits8=0.5,
    )


def test_an_onnx_file_needs_no_statistics(tmp_path, expected):
    path, _ = export(tmp_path, Style("classes"))
    assert NamedNetwork(str(path), 0.5).shape(8) == expected


def test_tokens_are_the_output_without_a_classifier(tmp_path, expected):
    path, _ = export(tmp_path, Style("tokens", registers=2))
    tokens = replace(expected, dense=True, classes=0, head_bits8=(), registers=2)
    assert NamedNetwork(str(path), 0.5).shape(8) == tokens


def test_networks_that_read_every_patch_keep_all(tmp_path):
    """What nas.quantize refuses has no price; the same network without ``keep`` has one."""
    path, _ = export(tmp_path, Style("decoder"))
    assert NamedNetwork(str(path)).shape(8).dense
    with pytest.raises(UserError, match=r"has a decoder, which reads every patch.* --pool token"):
        NamedNetwork(str(path), keep="0:3").shape(8)
    (tmp_path / "mean").mkdir()
    mean = {"num_classes": 0, "global_pool": "avg", "fc_norm": False}
    saved(tmp_path / "mean", "vit_tiny_patch16_224", **mean)
    with pytest.raises(UserError, match="pooled by the mean of all patches, of which none may go"):
        NamedNetwork(str(tmp_path / "mean"), keep="0:3").shape(8)


def test_patches_that_stay(tmp_path, expected):
    path, _ = export(tmp_path, Style("classes"))
    found = NamedNetwork(str(path), 0.5, keep="0:3").shape(8)
    assert found == with_keep(expected, {0: 3})


def test_a_folder_and_a_checkpoint(tmp_path):
    saved(tmp_path, "vit_medium_patch16_gap_240", num_classes=5)
    found = NamedNetwork(str(tmp_path)).shape(8)
    assert (found.classes, found.mean_pool, found.class_token) == (5, True, False)
    options = NetworkOptions(checkpoint=tmp_path / "model.safetensors", classes=5)
    with pytest.raises(UserError, match=r"has positions of 4 x 4 patches, the model 14 x 14"):
        NamedNetwork("vit_tiny", options=options).shape(8)
