"""The bounds of cycles against hand-counted figures and against programs."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from rtl.compiler import lower, plan
from rtl.config import ENGINES, TINY, ZCU102, EngineConfig
from rtl.errors import UserError
from rtl.model.keep import with_keep
from rtl.model.shape import BlockShape, NetworkShape, plain_vit
from rtl.timing import MemoryTiming, simulate
from rtl.timing.bound import (
    array_work,
    least_array_cycles,
    least_bytes,
    least_cycles,
    work_by_kind,
)
from rtl.timing.latencies import unit_latencies
from rtl.timing.traffic import work_of


def deit(width: int, *, bits8: float = 0.0) -> NetworkShape:
    """The shape of a DeiT."""
    return plain_vit(width=width, heads=width // 64, row_granularity=32, bits8=bits8)


@pytest.mark.parametrize(
    "width, bits8, cycles",
    [
        (192, 0, 153_096), (384, 0, 519_888), (768, 0, 1_894_560),
        (192, 0.25, 185_880), (384, 0.25, 626_928), (768, 0.25, 2_322_336),
    ],
)  # fmt: skip
def test_deit(width, bits8, cycles):
    assert least_array_cycles(plan(deit(width, bits8=bits8), ZCU102)) == cycles


FLAGS = (("q", (0,)), ("k", (0,)), ("v", (1,)), ("proj", (0, 1)), ("fc1", (1, 0)),
         ("fc2", (0, 0)))  # fmt: skip
ONE_BLOCK = NetworkShape(
    (28, 28, 1), 7, 32, 16, 10, 16, (BlockShape(1, 24, FLAGS),), (False, True), (False,)
)


def test_one_block_by_hand():
    """17 tokens, width 32, one head of 16: on 4 x 16 x 8 lanes."""
    shape = ONE_BLOCK
    embed = 2 * 4 * 3 * 7  # passes, token tiles, row tiles with the 8-bit one twice, words of 49
    keys, values = 5 * 1 * 4, 5 * 2 * 4  # of 17 tokens
    query, scores, context = 1 * 1 * 4, 2 * 2 * 2, 2 * 1 * 3  # of the class token's tile
    proj, fc1, fc2, head = 3 * 2, 3 * 4, 2 * 3, 4
    total = embed + keys + values + query + scores + context + proj + fc1 + fc2 + head
    assert least_array_cycles(plan(shape, TINY)) == total
    bits8 = replace(TINY, act_bits=8)  # a pixel is a single operand
    assert least_array_cycles(plan(shape, bits8)) == total - embed // 2


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
    assert least_array_cycles(plan(shape, TINY)) == total


def test_a_norm_in_front_by_hand():
    """A matrix of 32 rows in two tiles, the second one of 8 bits, on all five token tiles."""
    shape = replace(ONE_BLOCK, front_bits8=(False, True))
    more = least_array_cycles(plan(shape, TINY)) - least_array_cycles(plan(ONE_BLOCK, TINY))
    assert more == 5 * 3 * 4
    assert work_by_kind(shape)["front"] == (17 * 32 * 32, 17 * 32 * (16 + 2 * 16))
    assert shape.with_row_tiles(8).front_bits8 == (True,) * 4


def test_selection_by_hand():
    """Two blocks as above; behind the attention of the first one there are 9 patches, 10 tokens."""
    shape = with_keep(replace(ONE_BLOCK, blocks=ONE_BLOCK.blocks * 2), {0: 9})
    embed, keys, values = 2 * 4 * 3 * 7, 5 * 1 * 4, 5 * 2 * 4
    first = 5 * (1 * 4 + 2 * 2 * 2 + 2 * 1 * 3 + 3 * 2) + 3 * (3 * 4 + 2 * 3)
    fewer_keys, fewer_values = 3 * 1 * 4, 3 * 2 * 4
    last = 1 * 4 + 2 * 1 * 2 + 2 * 1 * 2 + 3 * 2 + 3 * 4 + 2 * 3  # the class token's tile
    total = embed + keys + values + first + fewer_keys + fewer_values + last + 4
    assert least_array_cycles(plan(shape, replace(TINY, select_tokens=256))) == total
    work = work_by_kind(shape)
    assert work["qkv"].macs == (3 * 17 + 2 * 10 + 1) * 32 * 16
    assert work["scores"].macs == (17 * 17 + 10) * 16
    assert work["proj"].macs == (17 + 1) * 16 * 32
    assert work["fc1"].macs == (10 + 1) * 32 * 24


def test_attention_pooling_by_hand():
    """As one block, with a query of one word and without a head."""
    shape = replace(ONE_BLOCK, dense=True, attention_pool=True, classes=0, head_bits8=())
    same = least_array_cycles(plan(ONE_BLOCK, TINY)) - 4  # without the head
    assert least_array_cycles(plan(shape, TINY)) == same - 4 + 1
    work = work_by_kind(shape)
    assert work["qkv"].macs == (17 + 17) * 32 * 16 and work["head"] == (0, 0)
    assert work["scores"] == work_by_kind(ONE_BLOCK)["scores"]


def test_work_of_the_mean():
    """The last block's other 195 tokens, and the sums."""
    token, mean = deit(192), replace(deit(192), mean_pool=True)
    inside = 2 * 197 * 192 + 2 * 192 * 192 + 2 * 4 * 192 * 192  # attention, q and proj, MLP
    assert array_work(mean) - array_work(token) == 195 * inside + 196 * 192


def test_work_of_deit_tiny_is_near_the_published_figure():
    """1.26 G multiply-accumulates with the last block whole; reduced it has 0.09 G fewer."""
    assert array_work(deit(192)) == 1_166_602_752


def test_a_fraction_of_8_bit_tiles_is_rounded_up():
    shape = plain_vit(width=192, heads=3, row_granularity=32, bits8=0.1)
    assert shape.head_bits8 == (True,) * 4 + (False,) * 28
    assert dict(shape.blocks[0].bits8)["fc1"] == (True,) * 3 + (False,) * 21
    assert not any(shape.embed_bits8)
    with pytest.raises(UserError, match=r"fraction of 8-bit rows must be from 0 to 1, not 1\.5"):
        plain_vit(width=192, heads=3, row_granularity=32, bits8=1.5)


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
    products = sum(work.products for work in work_by_kind(deit(384, bits8=0.25)).values())
    assert 0.9 < products / (18 * 32 * 16) / 626_928 < 1


def random_engine(draw: Random) -> EngineConfig:
    rows = draw.choice((8, 16, 32))
    return replace(
        draw.choice(list(ENGINES.values())),
        token_lanes=draw.choice(range(2, 21, 2)),
        row_lanes=rows,
        depth_lanes=draw.choice([depth for depth in (4, 8, 16) if depth <= rows]),
        act_bits=draw.choice((4, 6, 8)),
        memory_bytes=draw.choice((8, 16, 32)),
        activation_words=draw.choice((300, 1000, 4000)),  # several groups of tiles, or one
        pixel_words=draw.choice((100, 400, 2000)),
        weight_words=draw.choice((200, 800, 3000)),
        key_words=draw.choice((50, 200, 1000)),
        select_tokens=256,
    )


def random_shape(draw: Random) -> NetworkShape:
    patch, down, across = draw.choice((4, 7, 8, 14)), draw.randint(1, 9), draw.randint(1, 9)
    shape = plain_vit(
        image=(patch * down, patch * across, draw.choice((1, 3))),
        patch=patch,
        width=8 * draw.randint(1, 12),
        heads=draw.randint(1, 4),
        head_dim=draw.choice((8, 12, 16, 24, 32)),
        hidden=draw.randint(8, 300),
        depth=draw.randint(1, 3),
        classes=draw.randint(1, 40),
        row_granularity=32,
        bits8=draw.choice((0, 0.5, 1)),
        mean_pool=draw.random() < 0.3,
    )
    if draw.random() < 0.3:
        shape = replace(shape, front_bits8=()).with_row_tiles(32)
    if draw.random() < 0.2:
        shape = replace(shape, dense=True, attention_pool=True, classes=0, mean_pool=False)
        shape = shape.with_row_tiles(32, draw.choice((0, 0.5)))
    if not shape.mean_pool and not shape.attention_pool and draw.random() < 0.5:
        stay = sorted((draw.randint(1, shape.patches) for _ in shape.blocks[1:]), reverse=True)
        shape = with_keep(shape, dict(enumerate(stay)))
    return shape


def random_cases(seed: int) -> Iterator[tuple[NetworkShape, EngineConfig, MemoryTiming]]:
    """Yield random networks, engines that can run them, and memories."""
    draw = Random(seed)
    while True:
        memory = MemoryTiming(draw.choice((0.5, 4, 64)), draw.choice((0, 20, 100)))
        shape = random_shape(draw)
        try:
            engine = random_engine(draw)
            plan(shape, engine)
        except UserError:
            continue
        yield shape, engine, memory


@pytest.mark.parametrize("seed", range(4))
def test_no_program_takes_fewer_cycles_than_its_bound(seed):
    for shape, engine, memory in islice(random_cases(seed), 15):
        planned = plan(shape, engine)
        program = lower(planned)
        work = work_of(program)
        assert least_array_cycles(planned) == work.array_cycles
        assert 0.7 < least_bytes(planned) / (work.bytes - work.written_bytes) <= 1
        cycles = simulate(program, memory, unit_latencies(engine)).cycles
        assert least_cycles(planned, memory) <= cycles


def test_the_array_or_memory_decides():
    """From about 20 bytes per cycle on, the ZCU102's array; half as many take twice the cycles."""
    planned = plan(deit(192), ZCU102)
    array, read = least_array_cycles(planned), least_bytes(planned)
    bounds = [least_cycles(planned, MemoryTiming(bytes_per_cycle=rate)) for rate in (64, 8, 4)]
    assert bounds == [array, read / 8, read / 4]
    assert read / 64 < array < read / 8
