"""Golden against a scalar interpreter written from the same page, every tensor."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.model import Pool, repack
from sim.golden import run
from sim.random_model import random_images, random_model
from tests.sim.golden import scalar

TINY = {
    "image": (8, 8, 1),
    "patch": 4,
    "width": 16,
    "head_dim": 8,
    "blocks": [(2, 24), (1, 16)],
    "classes": 5,
    "row_granularity": 8,
}
COLOUR = {
    "image": (6, 9, 3),
    "patch": 3,
    "width": 20,
    "head_dim": 4,
    "blocks": [(3, 12), (2, 30), (1, 8)],
    "classes": 3,
    "row_granularity": 4,
}


SIZES = {
    "tiny": TINY,
    "colour": COLOUR,
    "mean": {**TINY, "pool": "mean"},
    "mean without class token": {**COLOUR, "pool": "mean", "class_token": False},
    "tokens": {**TINY, "output": "tokens"},
    "tokens without class token": {
        **COLOUR, "output": "tokens", "pool": "all", "class_token": False,
    },
    "registers": {**TINY, "registers": 3},
    "mean and registers": {**COLOUR, "pool": "mean", "class_token": False, "registers": 2},
    "two tables": {**COLOUR, "two_tables": True},
    "everything new": {
        **COLOUR, "output": "tokens", "pool": "mean", "registers": 1, "two_tables": True,
    },
    "front": {**COLOUR, "front": True},
    "attention pooling": {
        **COLOUR, "output": "tokens", "pool": "attention", "class_token": False, "front": True,
    },
    "keep": {**COLOUR, "keep": {0: 4, 1: 2}},
    "keep of tokens": {**COLOUR, "keep": {1: 1}, "output": "tokens", "pool": "all", "registers": 2},
}  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("act_bits", [4, 6, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_tensor_equals_the_scalar_interpreter(sizes, act_bits, seed):
    model = random_model(**sizes, act_bits=act_bits, bits8_fraction=0.5, seed=seed)
    images = random_images(model.image, 3, seed + 100)
    tensors = {}
    logits = run(model, images, tensors=tensors)
    for index, image in enumerate(images.tolist()):
        expected = scalar.classify(model, image)
        assert set(tensors) == set(expected)
        for name, tensor in expected.items():
            np.testing.assert_array_equal(tensors[name][index], np.array(tensor), err_msg=name)
    np.testing.assert_array_equal(logits, tensors[model.output_tensor])


@pytest.mark.parametrize("seed", [3, 4])
def test_random_parameters_that_saturate_everywhere(seed):
    """All scales four times as large: codes clip at both ends."""
    model = random_model(**TINY, act_bits=6, bits8_fraction=1.0, seed=seed)

    def loud(layer):
        return replace(layer, shift=np.maximum(layer.shift, 3) - 2)

    names = ("q", "k", "v", "proj", "fc1", "fc2")
    blocks = tuple(
        replace(block, **{name: loud(getattr(block, name)) for name in names})
        for block in model.blocks
    )
    output = replace(model.classifier, head=loud(model.classifier.head))
    model = replace(model, blocks=blocks, embed=loud(model.embed), output=output)
    images = random_images(model.image, 2, seed)
    tensors = {}
    run(model, images, tensors=tensors)
    for name, (low, high) in {
        "blocks.0.q": (-32, 31),
        "blocks.0.k": (-128, 127),
        "blocks.0.attended": (-32768, 32767),
    }.items():
        assert (tensors[name] == low).any() and (tensors[name] == high).any(), name
    for index, image in enumerate(images.tolist()):
        for name, tensor in scalar.classify(model, image).items():
            np.testing.assert_array_equal(tensors[name][index], np.array(tensor), err_msg=name)


def test_shapes_of_tensors():
    model = random_model(**TINY)
    tensors = {}
    run(model, random_images(model.image, 2), tensors=tensors)
    shapes = {name: tensor.shape[1:] for name, tensor in tensors.items()}
    assert shapes == {
        "pixels": (4, 16),
        "embed": (5, 16),
        "blocks.0.norm1": (5, 16),
        "blocks.0.q": (5, 16),
        "blocks.0.k": (5, 16),
        "blocks.0.v": (5, 16),
        "blocks.0.scores": (2, 5, 5),
        "blocks.0.attention": (2, 5, 5),
        "blocks.0.context": (5, 16),
        "blocks.0.attended": (5, 16),
        "blocks.0.norm2": (5, 16),
        "blocks.0.hidden": (5, 24),
        "blocks.0.output": (5, 16),
        "blocks.1.norm1": (5, 16),
        "blocks.1.q": (1, 8),
        "blocks.1.k": (5, 8),
        "blocks.1.v": (5, 8),
        "blocks.1.scores": (1, 1, 5),
        "blocks.1.attention": (1, 1, 5),
        "blocks.1.context": (1, 8),
        "blocks.1.attended": (1, 16),
        "blocks.1.norm2": (1, 16),
        "blocks.1.hidden": (1, 16),
        "blocks.1.output": (1, 16),
        "norm": (1, 16),
        "logits": (5,),
    }
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.int32)}


def test_shapes_with_fewer_tokens():
    model, tensors = random_model(**{**TINY, "blocks": [(2, 24)] * 3}, registers=1, keep={1: 2}), {}
    run(model, random_images(model.image, 2), tensors=tensors)
    shapes = {name: tensor.shape[1:] for name, tensor in tensors.items()}
    assert [name for name in shapes if name.startswith("blocks.1")][5:9] == [
        f"blocks.1.{name}" for name in ("attention", "importance", "kept", "context")
    ]
    for name in ("0.output", "1.norm1", "1.q", "1.context"):
        assert shapes[f"blocks.{name}"] == (6, 16)
    assert (shapes["blocks.1.scores"], shapes["blocks.2.scores"]) == ((2, 6, 6), (2, 1, 4))
    assert (shapes["blocks.1.importance"], shapes["blocks.1.kept"]) == ((4,), (4,))
    for name in ("1.attended", "1.norm2", "1.output", "2.norm1", "2.k"):
        assert shapes[f"blocks.{name}"] == (4, 16)
    assert tensors["blocks.1.kept"][:, 2:].tolist() == [[4, 5]] * 2


def test_all_patches_kept_is_as_without():
    models = [random_model(**COLOUR, keep=keep) for keep in ({}, {0: 6, 1: 6})]
    images = random_images(models[0].image, 3)
    as_all, without = (run(model, images) for model in models)
    np.testing.assert_array_equal(as_all, without)


def test_of_equal_patches_the_first_stay():
    """A blank image, without positions: every patch has the same importance."""
    model, tensors = random_model(**COLOUR, keep={0: 4, 1: 3}), {}
    model = replace(model, position=np.zeros_like(model.position))
    run(model, np.zeros((2, *model.image), np.uint8), tensors=tensors)
    assert len(np.unique(tensors["blocks.0.importance"])) == 1
    assert tensors["blocks.0.kept"].tolist() == [[0, 1, 2, 3, 6]] * 2
    assert tensors["blocks.1.kept"].tolist() == [[0, 1, 2, 4]] * 2


def test_shapes_with_the_mean():
    tensors = {}
    model = random_model(**TINY, pool="mean")
    run(model, random_images(model.image, 2), tensors=tensors)
    shapes = {name: tensor.shape[1:] for name, tensor in tensors.items()}
    assert list(shapes)[-5:] == ["norm", "pool.values", "pool.weights", "pool", "logits"]
    assert shapes["blocks.1.norm1"] == shapes["embed"] == (5, 16)
    assert shapes["blocks.1.scores"] == (1, 4, 5)
    assert shapes["blocks.1.output"] == shapes["norm"] == shapes["pool.values"] == (4, 16)
    assert shapes["pool.weights"] == (1, 5)
    assert shapes["pool"] == (1, 16)


def test_the_mean_is_exact():
    """With scales that only divide, it is the mean of the patches' codes, centred."""
    model = random_model(**TINY, act_bits=8, pool="mean")
    divide = Pool(
        bias=np.zeros(16, np.int32),
        multiplier=np.ones(16, np.uint32),
        shift=np.full(16, 2, np.uint8),  # of 4 patches
    )
    norm = replace(model.classifier.norm, signed=False, zero=130)
    model = replace(model, output=replace(model.classifier, pool=divide, norm=norm))
    tensors = {}
    run(model, random_images(model.image, 2), tensors=tensors)
    mean = np.floor(tensors["norm"].mean(axis=1, keepdims=True) - 128 + 0.5)
    np.testing.assert_array_equal(tensors["pool"], mean)


def test_a_batch_equals_its_images_one_by_one(monkeypatch):
    model = random_model(**TINY)
    images = random_images(model.image, 7)
    together = run(model, images)
    monkeypatch.setattr("sim.golden.network.CHUNK_VALUES", 1)
    tensors = {}
    np.testing.assert_array_equal(run(model, images, tensors=tensors), together)
    assert tensors["embed"].shape[0] == 7


@pytest.mark.parametrize("row_granularity", [4, 8, 16, 32])
def test_repack_keeps_the_logits(row_granularity):
    model = random_model(row_granularity=4, blocks=[(4, 128), (3, 64)], seed=5)
    images = random_images(model.image, 20)
    packed = repack(model, row_granularity)
    assert packed.row_granularity == row_granularity
    np.testing.assert_array_equal(run(packed, images), run(model, images))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 8, 8, 1), np.float32),
        np.zeros((1, 8, 9, 1), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"images must be uint8 \(batch, 8, 8, 1\), not"):
        run(random_model(**TINY), images)
