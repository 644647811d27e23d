"""Networks that do not fit are refused with the limit's name, its value, and the excess."""

from dataclasses import replace

import pytest

from rtl.compiler import compile_model, plan, plan_model
from rtl.config import TINY, ZCU102
from rtl.errors import UserError
from rtl.model.keep import with_keep
from rtl.model.shape import plain_vit
from sim.random_model import random_model


def network(
    image=(28, 28, 1),
    patch=7,
    width=64,
    head_dim=16,
    blocks=((4, 256),),
    classes=10,
    granularity=16,
    mean_pool=False,
):
    heads, hidden = blocks[0] if blocks else (1, 1)
    return plain_vit(
        image=image,
        patch=patch,
        width=width,
        heads=heads,
        head_dim=head_dim,
        hidden=hidden,
        depth=len(blocks),
        classes=classes,
        row_granularity=granularity,
        mean_pool=mean_pool,
    )


VIT = {"image": (224, 224, 3), "patch": 16, "head_dim": 64, "classes": 1000, "granularity": 32}


@pytest.mark.parametrize(
    "width, heads, hidden", [(192, 3, 768), (384, 6, 1536), (768, 12, 3072), (224, 7, 896)]
)
def test_vision_transformers_fit_the_zcu102(width, heads, hidden):
    shape = network(**VIT | {"width": width, "blocks": ((heads, hidden),) * 12})
    assert plan(shape, ZCU102).shape == shape


@pytest.mark.parametrize("width, heads", [(192, 3), (384, 6)])
def test_577_tokens_fit_up_to_width_384(width, heads):
    large = VIT | {"image": (384, 384, 3), "width": width, "blocks": ((heads, 4 * width),) * 2}
    assert plan(network(**large), ZCU102).shape.tokens == 577


REFUSED = {
    "577 tokens at width 768": (
        ZCU102,
        VIT | {"image": (384, 384, 3), "width": 768, "blocks": ((12, 3072),)},
        "residual stream of 577 tokens, width 768: 3,480 needed, 2,048 available,"
        " 1,432 too many (engine 'zcu102' residual_words)",
    ),
    "width": (
        ZCU102,
        VIT | {"width": 1088, "blocks": ((17, 64),)},
        "width: 1,088 needed, 1,024 available, 64 too many (MAX_WIDTH)",
    ),
    "tokens": (
        ZCU102,
        VIT | {"image": (1024, 512, 3), "width": 32, "blocks": ((1, 32),)},
        "tokens: 2,049 needed, 1,024 available, 1,025 too many (MAX_TOKENS)",
    ),
    "keys": (
        replace(TINY, key_words=6),
        {"head_dim": 64, "blocks": ((1, 64),)},
        "blocks.0 keys of 17 tokens: 8 needed, 6 available, 2 too many (engine 'tiny' key_words)",
    ),
    "values": (
        replace(TINY, value_words=8),
        {"head_dim": 64, "blocks": ((1, 64),)},
        "blocks.0 values of 17 tokens: 12 needed, 8 available, 4 too many"
        " (engine 'tiny' value_words)",
    ),
    "attention": (
        replace(TINY, activation_words=40),
        {},
        "blocks.0 attention, activation words: 44 needed, 40 available",
    ),
    "MLP": (
        replace(TINY, activation_words=50),
        {"blocks": ((1, 1024),)},
        "blocks.0 MLP of 1024 hidden units: 84 needed, 50 available",
    ),
    "pixels": (
        TINY,
        {"image": (384, 384, 3), "patch": 32, "blocks": ((1, 64),)},
        "pixels of 3 token tiles, patch 32: 1,152 needed, 1,024 available, 128 too many"
        " (engine 'tiny' pixel_words)",
    ),
    "scores": (replace(TINY, score_words=2), {"patch": 4}, "scores of 50 keys: 4 needed"),
    "ring": (replace(TINY, weight_words=16), {}, "fc2, a row tile of 256 terms: 32 needed"),
    "mean": (
        replace(TINY, activation_words=49),
        {"width": 128, "blocks": ((1, 16),), "mean_pool": True},
        "mean pooling, activation words: 50 needed, 49 available, 1 too many"
        " (engine 'tiny' activation_words)",
    ),
    "identity of the mean": (
        replace(TINY, row_lanes=64, depth_lanes=4, weight_words=15),
        {
            "width": 32,
            "head_dim": 4,
            "blocks": ((1, 16),),
            "patch": 2,
            "image": (4, 8, 1),
            "granularity": 64,
            "mean_pool": True,
        },
        "pool.values, a row tile of 64 terms: 16 needed, 15 available, 1 too many",
    ),
    "granularity": (
        ZCU102,
        {},
        "row_granularity 16 is no multiple of row_lanes 32 of engine 'zcu102':"
        " repack it (--repack)",
    ),
    "patches": (TINY, {"patch": 8}, "image of 28 x 28 pixels is not made of whole patches of 8"),
    "depth": (TINY, {"blocks": ()}, "depth must be at least 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_limit_and_excess(name):
    engine, arguments, message = REFUSED[name]
    with pytest.raises(UserError) as error:
        plan(network(**arguments), engine)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_codes_of_another_width_are_refused():
    model = random_model(patch=14, width=16, blocks=((1, 16),), act_bits=8)
    with pytest.raises(UserError, match="model has act_bits 8, engine 'tiny' 6"):
        compile_model(model, TINY)


def test_an_index_takes_a_word_of_each_token_that_is_put_out():
    sizes = {"blocks": ((1, 16),) * 2, "row_granularity": 16}
    dense = {"output": "tokens", "keep": {0: 9}}
    engine = replace(TINY, select_tokens=256)
    few = plan_model(random_model(**sizes, **dense, pool="all"), engine)
    assert few.shape.indexed and few.token_words == few.width_tiles + 1
    assert few.layers(0)["proj"].row_tiles == few.width_tiles + 1
    assert few.layers(1)["proj"].row_tiles == few.width_tiles  # nothing moves there
    for others in ({}, {"output": "tokens", "pool": "all"}, {"keep": {0: 9}}, dense):
        found = plan_model(random_model(**sizes, **others), engine)
        assert not found.shape.indexed and found.token_words == found.width_tiles
        assert found.layers(0)["proj"].row_tiles == found.width_tiles


def test_a_gelu_table_is_for_whole_row_tiles():
    shape = network(granularity=32)
    blocks = tuple(replace(block, first_table_units=48) for block in shape.blocks)
    with pytest.raises(UserError) as error:
        plan(replace(shape, blocks=blocks), ZCU102)
    assert str(error.value) == (
        "blocks.0: the first GELU table is for 48 hidden units, no multiple of row_lanes 32 of"
        " engine 'zcu102'"
    )


def test_a_head_of_any_size_fits():
    many = network(**VIT | {"classes": 21_843})
    assert [part.count for part in plan(many, ZCU102).logit_parts] == [227, 228, 228]


def selecting(select_tokens, name="tiny", **keep):
    shape = network(blocks=((4, 64),) * 3)
    blocks = (replace(block, **keep) for block in shape.blocks[:1])
    shape = replace(shape, blocks=(*blocks, *shape.blocks[1:]))
    return plan(shape, replace(TINY, name=name, select_tokens=select_tokens))


def test_an_engine_that_selects_none_says_so():
    with pytest.raises(UserError) as error:
        selecting(0, keep=9)
    assert str(error.value) == (
        "blocks.0 keeps 9 of 16 patches: engine 'tiny' selects none (select_tokens 0); take"
        " tiny_select"
    )
    with pytest.raises(UserError, match=r"'own' selects none .*; take one with select_tokens"):
        selecting(0, name="own", keep=9)
    assert selecting(256, keep=9).tokens_in(1) == 10


def test_more_patches_than_the_engine_selects_from():
    shape = with_keep(network(image=(28, 28 * 5, 1), blocks=((4, 64),) * 2), {0: 9})
    assert plan(shape, replace(TINY, select_tokens=256)).shape.patches == 80
    shape = with_keep(network(image=(7 * 16, 7 * 17, 1), width=16, blocks=((1, 16),) * 2), {0: 9})
    with pytest.raises(UserError, match=r"272 needed, 256 available.*'tiny' select_tokens"):
        plan(shape, replace(TINY, select_tokens=256, activation_words=4096))
    assert plan(shape, replace(TINY, select_tokens=1024, activation_words=4096))


def test_a_network_that_cannot_keep_these_is_refused():
    with pytest.raises(UserError, match=r"blocks.0.keep is 17: .* from 1 to 16"):
        selecting(256, keep=17)
