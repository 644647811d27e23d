"""Sizes of timm's plain vision transformers, and models with parts that the engine has not."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import timm

from nas.cost.networks import NamedNetwork
from nas.importer.options import NetworkOptions
from nas.importer.timm_parts import build, refuse
from rtl.errors import UserError
from rtl.model.shape import plain_vit


def test_deit_small_with_a_quarter_of_8_bit_tiles():
    expected = plain_vit(width=384, heads=6, row_granularity=32, bits8=0.25)
    assert NamedNetwork("deit_small", 0.25).shape(32) == expected
    assert NamedNetwork("deit_small_patch16_224", 0.25).shape(32) == expected


def test_sizes_come_from_the_modules_not_from_the_name():
    """Heads of 72 dimensions, hidden units that are no multiple of the width, a mean, no token."""
    assert NamedNetwork("vit_so400m_patch14_siglip_gap_224").shape(16) == plain_vit(
        patch=14,
        width=1152,
        heads=16,
        head_dim=72,
        hidden=4304,
        depth=27,
        row_granularity=16,
        mean_pool=True,
        class_token=False,
    )


def test_a_model_without_a_classifier_gets_1000_classes():
    assert NamedNetwork("vit_small_patch16_224.dino").shape(32).classes == 1000
    assert NamedNetwork("vit_base_patch16_224.augreg_in21k").shape(32).classes == 21843


def test_variants():
    """Another image size and number of classes; registers; DeiT III; no classifier."""
    options = NetworkOptions(classes=5, image_size=112)
    small = plain_vit(image=(112, 112, 3), width=384, heads=6, classes=5, row_granularity=32)
    assert NamedNetwork("deit3_small", options=options).shape(32) == small
    options = NetworkOptions(classes=0, image_size=224)
    found = NamedNetwork("vit_small_patch14_reg4_dinov2", options=options).shape(32)
    assert (found.tokens, found.registers, found.dense, found.classes) == (261, 4, True, 0)
    with pytest.raises(UserError, match=r"--image-size 220 is not a multiple of the patch's 16"):
        NamedNetwork("deit_small", options=NetworkOptions(image_size=220)).shape(32)


def test_too_many_tokens_are_refused_with_sizes_that_fit():
    with pytest.raises(UserError) as error:
        NamedNetwork("vit_small_patch14_dinov2").shape(32)
    assert str(error.value) == (
        "vit_small_patch14_dinov2: 1,370 tokens at 518 x 518 pixels, at most 1,024 fit: give"
        " --image-size 434, the largest that fits, or the usual --image-size 224"
    )
    for size, tokens in ((434, 962), (224, 257)):
        options = NetworkOptions(image_size=size)
        assert NamedNetwork("vit_small_patch14_dinov2", options=options).shape(32).tokens == tokens


def test_a_norm_in_front_of_the_blocks():
    clip = NamedNetwork("vit_base_patch16_clip_224", 0.25).shape(32)
    assert clip.front_bits8 == (True,) * 24 and not any(clip.embed_bits8)
    plain = plain_vit(width=768, heads=12, classes=clip.classes, row_granularity=32, bits8=0.25)
    assert replace(clip, front_bits8=None) == plain


def test_attention_pooling_is_a_block():
    siglip = NamedNetwork("vit_base_patch16_siglip_224").shape(32)
    plain = plain_vit(width=768, heads=12, depth=13, row_granularity=32, class_token=False)
    same = replace(plain, classes=0, head_bits8=(), dense=True, attention_pool=True)
    assert siglip == same.with_row_tiles(32)
    classes = NetworkOptions(classes=3)  # on the host
    assert NamedNetwork("vit_base_patch16_siglip_224", options=classes).shape(32) == siglip


@pytest.mark.parametrize(
    "name, missing",
    [
        ("deit_small_distilled_patch16_224", "a distillation token"),
        ("vit_relpos_base_patch16_224", "relative positions"),
        ("eva02_tiny_patch14_224", "rotary positions"),
        ("vit_base_patch16_rope_224", "rotary positions"),
        ("vit_base_r50_s16_224", "a hybrid stem (HybridEmbed)"),
        ("vit_base_patch16_18x2_224", "blocks of another kind (ParallelThingsBlock)"),
        ("vit_giant_patch14_dinov2", "a gated MLP (GluMlp)"),
        ("vit_intern300m_patch14_448", "no final LayerNorm"),
        (
            "vit_base_patch16_rpn_224",
            "blocks of another kind (ResPostBlock), a norm behind the pooling (fc_norm)",
        ),
    ],
)
def test_what_the_engine_has_not_is_refused_by_name(name, missing):
    with pytest.raises(UserError) as error:
        NamedNetwork(name).shape(32)
    assert str(error.value) == f"timm model '{name}' has what the engine has not: {missing}"


def test_a_tag_with_more_classes_than_a_file_holds():
    name = "vit_base_patch16_224.bamboo"
    with pytest.raises(UserError, match="115,217 classes, at most 65,536 fit: give --classes 0"):
        NamedNetwork(name).shape(32)
    assert NamedNetwork(name, options=NetworkOptions(classes=0)).shape(32).dense


def test_most_of_timms_pretrained_tags_run():
    """At their default sizes, on torch's meta device; a block stands for all, which are alike."""
    counts = Counter()
    for tag in timm.list_models(pretrained=True):
        if tag.startswith(("vit_", "deit_")):
            counts[verdict(tag.partition(".")[0], sizes_of(tag))] += 1
    too_large = counts.pop("too large")
    assert counts["runs"] >= 152 and sum(counts.values()) >= 243 and too_large > 50
    reasons = {reason for combined in counts for reason in combined.split(", ")}
    assert reasons >= {
        "runs",
        "rotary positions",
        "a norm behind the pooling (fc_norm)",
        "a hybrid stem (HybridEmbed)",
        "relative positions",
        "a distillation token",
        "attention of another kind (DiffAttention)",
        "blocks of another kind (ResPostBlock)",
    }


def sizes_of(tag):
    """Pixels of a tag's images: they are its own, not its network's."""
    config = timm.get_pretrained_cfg(tag)
    return config.input_size[-1] if config.fixed_input_size else None


@cache
def verdict(architecture, pixels):
    try:
        model = build(architecture, None, pixels, device="meta", depth=1)
    except UserError:  # patches that do not fill the image, or no depth of 1
        return "too large"
    tokens = model.patch_embed.num_patches + model.num_prefix_tokens
    if model.embed_dim > 1024 or tokens > 1024:
        return "too large"
    try:
        refuse(architecture, model)
    except UserError as error:
        return str(error).partition("has what the engine has not: ")[2]
    return "runs"


@pytest.mark.parametrize(
    "name, close",
    [("deit_smal", "deit_small, deit3_small"), ("what", "timm.list_models()")],
)
def test_unknown_names(name, close):
    with pytest.raises(UserError, match="unknown model") as error:
        NamedNetwork(name).shape(32)
    assert close in str(error.value)
