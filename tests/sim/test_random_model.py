"""Random models have every feature of the file."""

import pytest

from rtl.model import Features
from sim.golden import run
from sim.random_model import random_images, random_model


@pytest.fixture(scope="module", params=[4, 6, 8])
def model(request):
    return random_model(blocks=[(4, 256)] * 6, act_bits=request.param, seed=request.param)


def test_every_feature_of_the_format_occurs(model):
    norms = [norm for block in model.blocks for norm in (block.norm1, block.norm2)]
    assert {norm.signed for norm in norms} == {True, False}
    assert any(norm.zero for norm in norms)
    assert any(norm.exponent.any() for norm in norms)
    assert {block.hidden_signed for block in model.blocks} == {True, False}
    for linear in model.linears().values():
        assert set(linear.bits.tolist()) <= {4, 8}
    assert {linear.residual_shift for linear in model.linears().values()} >= {0, 1, 2}
    assert {4, 8} == set(model.blocks[0].fc1.bits.tolist())


def test_wide_fraction_by_layer():
    model = random_model(bits8_fraction={"embed": 0.0, "fc1": 1.0, "q": 0.3})
    assert not any(model.shape.embed_bits8)
    bits8 = dict(model.shape.blocks[0].bits8)
    assert (sum(bits8["fc1"]), sum(bits8["q"]), sum(bits8["k"])) == (16, 2, 0)


def test_equal_arguments_give_equal_models():
    assert random_model(seed=1).hash == random_model(seed=1).hash
    assert random_model(seed=1).hash != random_model(seed=2).hash


@pytest.mark.parametrize(
    "sizes",
    [
        {"image": (2, 2, 1), "patch": 2, "width": 1, "head_dim": 1, "blocks": [(1, 1)]},
        {"image": (8, 4, 3), "patch": 4, "width": 8, "head_dim": 4, "blocks": [(1, 3)]},
    ],
)
def test_smallest_networks(sizes):
    model = random_model(**sizes, classes=2)
    assert run(model, random_images(model.image, 2)).shape == (2, 2)


NEW = {"registers": 3, "output": "tokens", "two_tables": True, "row_granularity": 8}


def test_features_that_are_asked_for():
    model = random_model(width=16, blocks=[(1, 40), (1, 8)], pool="all", class_token=False, **NEW)
    assert isinstance(model.output, Features) and model.output.pool == "all"
    assert (model.registers, model.tokens, model.class_names) == (3, 19, ())
    first, second = model.blocks
    assert first.first_units in (8, 16, 24, 32) and second.first_units is None
    assert (first.gelu[0] != first.gelu[1]).any()
    assert run(model, random_images(model.image, 2)).shape == (2, 19, 16)


def test_a_norm_in_front_uses_the_range_of_the_stream():
    model = random_model(width=16, blocks=[(1, 8)], front=True)
    tensors = {}
    run(model, random_images(model.image, 4), tensors=tensors)
    assert (
        500 < tensors["front"].std() < 8000 and (tensors["front"] != tensors["embed"]).all(0).any()
    )
    assert set(model.linears()) >= {"embed", "front"} and next(iter(model.norms())) == "front.norm"


def test_blocks_that_keep_some_patches():
    model = random_model(width=16, blocks=[(1, 8)] * 4, registers=2, keep={0: 9, 2: 1})
    assert [block.keep for block in model.blocks] == [9, None, 1, None]
    shape = model.shape
    assert shape.selects and [shape.tokens_in(i) for i in range(5)] == [19, 12, 12, 4, 4]
    tensors = {}
    run(model, random_images(model.image, 16), tensors=tensors)
    kept = tensors["blocks.0.kept"]
    assert len({tuple(row) for row in kept.tolist()}) > 8  # chosen by the image
    assert 500 < tensors["blocks.3.output"].std() < 8000


def test_zero_points_of_both_tables_are_in_the_bias():
    models = [random_model(width=16, blocks=[(1, 40)], seed=seed, **NEW) for seed in range(4)]
    blocks = [model.blocks[0] for model in models if not model.blocks[0].hidden_signed]
    assert blocks and all(block.second_zero > block.hidden_zero > 0 for block in blocks)
