"""The bound of cycles against hand-counted figures."""

from dataclasses import replace

import pytest

from rtl.errors import UserError
from rtl.model.shape import BlockShape, NetworkShape, plain_vit
from rtl.timing.bound import ArrayLanes, array_work, bound_cycles, work_by_kind

ZCU102 = ArrayLanes(18, 32, 16)


def deit(width: int, *, wide: float = 0.0) -> NetworkShape:
    """The shape of a DeiT."""
    return plain_vit(width=width, heads=width // 64, row_granularity=32, wide=wide)


@pytest.mark.parametrize(
    "width, wide, cycles",
    [
        (192, 0, 153_096), (384, 0, 519_888), (768, 0, 1_894_560),
        (192, 0.25, 185_880), (384, 0.25, 626_928), (768, 0.25, 2_322_336),
    ],
)  # fmt: skip
def test_deit(width, wide, cycles):
    assert bound_cycles(deit(width, wide=wide), ZCU102) == cycles


FLAGS = (("q", (0,)), ("k", (0,)), ("v", (1,)), ("proj", (0, 1)), ("fc1", (1, 0)),
         ("fc2", (0, 0)))  # fmt: skip
ONE_BLOCK = NetworkShape(
    (28, 28, 1), 7, 32, 16, 10, 16, (BlockShape(1, 24, FLAGS),), (False, True), (False,)
)


def test_one_block_by_hand():
    """17 tokens, width 32, one head of 16: on 4 x 16 x 8 lanes."""
    shape = ONE_BLOCK
    embed = 2 * 4 * 3 * 7  # passes, token tiles, row tiles with the wide one twice, words of 49
    keys, values = 5 * 1 * 4, 5 * 2 * 4  # of 17 tokens
    query, scores, context = 1 * 1 * 4, 2 * 2 * 2, 2 * 1 * 3  # of the class token's tile
    proj, fc1, fc2, head = 3 * 2, 3 * 4, 2 * 3, 4
    total = embed + keys + values + query + scores + context + proj + fc1 + fc2 + head
    assert bound_cycles(shape, ArrayLanes(4, 16, 8)) == total
    assert bound_cycles(shape, ArrayLanes(4, 16, 8), pixel_passes=1) == total - embed // 2


@pytest.mark.parametrize("class_token", [True, False])
def test_mean_by_hand(class_token):
    """As above, with all 16 patches in the last block; they fill 4 tiles."""
    shape = replace(ONE_BLOCK, mean_pool=True, class_token=class_token)
    tiles, keys_tiles, key_words = (5, 2, 3) if class_token else (4, 1, 2)
    embed = 2 * 4 * 3 * 7
    keys, values = tiles * 1 * 4, tiles * 2 * 4  # of all tokens
    query, scores, context = 1 * 4, 2 * keys_tiles * 2, 2 * 1 * key_words  # of a tile of patches
    block = 4 * (query + scores + context + 3 * 2 + 3 * 4 + 2 * 3)
    identity, weights, mean, head = 4 * 2 * 2, keys_tiles, 2 * 2 * key_words, 4
    total = embed + keys + values + block + identity + weights + mean + head
    assert bound_cycles(shape, ArrayLanes(4, 16, 8)) == total


def test_work_of_the_mean():
    """The last block's other 195 tokens, and the sums."""
    token, mean = deit(192), replace(deit(192), mean_pool=True)
    inside = 2 * 197 * 192 + 2 * 192 * 192 + 2 * 4 * 192 * 192  # attention, q and proj, MLP
    assert array_work(mean) - array_work(token) == 195 * inside + 196 * 192


def test_work_of_deit_tiny_is_near_the_published_figure():
    """1.26 G multiply-accumulates with the last block whole; reduced it has 0.09 G fewer."""
    assert array_work(deit(192)) == 1_166_602_752


def test_lanes_that_the_width_flags_do_not_fit():
    with pytest.raises(ValueError, match=r"lanes\.rows must be the shape's row_granularity = 32"):
        bound_cycles(deit(192), ArrayLanes(4, 16, 8))


def test_a_fraction_of_8_bit_tiles_is_rounded_up():
    shape = plain_vit(width=192, heads=3, row_granularity=32, wide=0.1)
    assert shape.head_wide == (True,) * 4 + (False,) * 28
    assert dict(shape.blocks[0].wide)["fc1"] == (True,) * 3 + (False,) * 21
    assert not any(shape.embed_wide)
    with pytest.raises(UserError, match=r"fraction of 8-bit rows must be from 0 to 1, not 1\.5"):
        plain_vit(width=192, heads=3, row_granularity=32, wide=1.5)


def test_work_of_kinds_by_hand():
    """As in ``test_one_block_by_hand``, without padding."""
    work = work_by_kind(ONE_BLOCK)
    assert work["embed"] == (16 * 49 * 32, 2 * 16 * 49 * (16 + 2 * 16))
    assert work["qkv"] == ((17 + 17 + 1) * 32 * 16, (17 + 2 * 17 + 1) * 32 * 16)
    assert work["scores"] == work["context"] == (17 * 16, 2 * 17 * 16)
    assert work["proj"] == (16 * 32, 16 * (16 + 2 * 16))
    assert work["fc1"] == (32 * 24, 32 * (2 * 16 + 8))  # the second tile has 8 rows
    assert work["head"] == (32 * 10, 32 * 10)
    assert work_by_kind(ONE_BLOCK, pixel_passes=1)["embed"].products == 16 * 49 * (16 + 2 * 16)


def test_products_without_padding_fill_less_than_the_bound():
    products = sum(work.products for work in work_by_kind(deit(384, wide=0.25)).values())
    assert 0.9 < products / (18 * 32 * 16) / 626_928 < 1
