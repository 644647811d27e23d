"""Strips and token tiles in the pixel banks: 7 patches in a row, 4 token lanes."""

from dataclasses import replace

import pytest

from rtl.compiler import plan
from rtl.compiler.lowering.pixels import PixelBanks
from rtl.config import TINY
from sim.random_model import random_model

SHAPE = random_model(image=(56, 56, 1), patch=8, blocks=((2, 32),), width=32).shape


def banks(chains):
    """Pixel banks that hold so many chains of 7 token tiles."""
    return PixelBanks(plan(SHAPE, replace(TINY, pixel_words=chains * 7 * 8)))


def test_a_tile_has_the_strips_that_reach_it():
    pixels = banks(2)
    tiles = pixels.plan.patch_tiles
    assert len(tiles) == 13  # 49 patches
    found = [[strip.index for strip in pixels.strips(tile)] for tile in tiles[:7]]
    assert found == [[0], [0, 1], [1], [1, 2], [2], [2, 3], [3]]


@pytest.mark.parametrize("chains, places", [(1, [0, 6, 0, 5]), (2, [0, 6, 7, 12])])
def test_chains_take_turns(chains, places):
    pixels = banks(chains)
    assert [pixels.place(tile) for tile in (0, 6, 7, 12)] == places
    tile = pixels.plan.patch_tiles[12]
    assert pixels.patches(tile).start == 8 * places[-1]
    assert pixels.patches(tile).stop == 8 * places[-1] + 8


@pytest.mark.parametrize("chains, lengths", [(1, [7, 6]), (2, [13])])
def test_tiles_are_grouped_as_their_pixels_fit(chains, lengths):
    groups = list(banks(chains).groups())
    assert [len(group) for group in groups] == lengths
    assert [tile.index for group in groups for tile in group] == list(range(13))


def test_the_places_of_a_strip_follow_each_other():
    pixels = banks(1)
    for tile in pixels.plan.patch_tiles:
        for strip in pixels.strips(tile):
            assert list(strip.places) == [pixels.place(tile) for tile in strip.tiles]
            assert list(strip.places.values()) == list(strip.tiles)
