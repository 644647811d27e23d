"""Names of models: those that people have, and families that the engine cannot run."""

import pytest
import timm

from nas.importer.names import LOOKED_INTO, REASONS, full_name
from rtl.errors import UserError


@pytest.mark.parametrize(
    ("name", "timms"),
    {
        "deit_small": "deit_small_patch16_224",
        "Deit_Small": "deit_small_patch16_224",
        "ViT-B/16": "vit_base_patch16_224",
        "vit_l_32": "vit_large_patch32_224",
        "deit3_small_patch16_224.fb_in22k_ft_in1k": "deit3_small_patch16_224.fb_in22k_ft_in1k",
        "timm/vit_tiny_patch16_224": "vit_tiny_patch16_224",
        "hf_hub:timm/vit_tiny_patch16_224.augreg_in21k": "vit_tiny_patch16_224.augreg_in21k",
        "hf-hub:timm/deit_tiny_patch16_224.fb_in1k": "deit_tiny_patch16_224.fb_in1k",
        "https://huggingface.co/google/vit-base-patch16-224": "vit_base_patch16_224",
        "google/vit-base-patch16-224-in21k": "vit_base_patch16_224",
        "facebook/deit-tiny-patch16-224": "deit_tiny_patch16_224",
        "facebook/deit-base-distilled-patch16-224": "deit_base_distilled_patch16_224",
        "facebook/dinov2-base": "vit_base_patch14_dinov2",
        "facebook/dinov2-small-imagenet1k-1-layer": "vit_small_patch14_dinov2",
        "facebook/dinov2-with-registers-small": "vit_small_patch14_reg4_dinov2",
        "facebook/dino-vits8": "vit_small_patch8_224.dino",
        "facebook/dinov3-vits16-pretrain-lvd1689m": "vit_small_patch16_dinov3",
        "openai/clip-vit-base-patch32": "vit_base_patch32_clip_224",
        "openai/clip-vit-large-patch14-336": "vit_large_patch14_clip_336",
        "google/siglip-base-patch16-224": "vit_base_patch16_siglip_224",
        "flexivit_small": "flexivit_small",
        "eva02_tiny_patch14_224": "eva02_tiny_patch14_224",
    }.items(),
)
def test_names_that_people_have(name, timms):
    assert full_name(name) == timms


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("beit_base_patch16_224", "has what the engine has not: relative position bias"),
        ("microsoft/beit-base-patch16-224-pt22k-ft22k", "relative position bias"),
        ("swin_tiny_patch4_window7_224", "has what the engine has not: windowed attention"),
        ("microsoft/swinv2-tiny-patch4-window8-256", "windowed attention, norms behind"),
        ("mobilevit_s", "has what the engine has not: convolutions beside the patch embedding"),
        ("apple/mobilevit-small", "timm model 'mobilevit_s' has .* convolutions"),
        ("mixer_b16_224", "no attention"),
        ("resnet50", "'resnet50' is no plain vision transformer: docs/quasar-vit.md says what"),
    ],
)
def test_families_that_the_engine_cannot_run_are_refused_with_the_reason(name, reason):
    with pytest.raises(UserError, match=reason):
        full_name(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("deit3_smal", "deit3_small"), ("deit_smal", "deit_small"), ("what", "timm.list_models")],
)
def test_unknown_names(name, hint):
    with pytest.raises(UserError, match=f"unknown model '{name}': .*{hint}"):
        full_name(name)


def test_reasons_are_given_for_modules_that_timm_has():
    modules = {timm.models.model_entrypoint(name).__module__ for name in timm.list_models()}
    known = {module.rpartition(".")[2] for module in modules}
    assert known >= REASONS.keys() and known >= set(LOOKED_INTO)
    assert not REASONS.keys() & set(LOOKED_INTO)
