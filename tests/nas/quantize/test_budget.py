"""Tiles are chosen by score per cycle, within the limit."""

import pytest
import torch

from nas.quantize.budget import choose_tiles, rows_of, tile_costs, tile_scores
from rtl.errors import UserError

SCORES = {
    "blocks.0.q": torch.tensor([1.0, 8.0]),
    "blocks.0.fc2": torch.tensor([9.0, 2.0]),
    "blocks.1.q": torch.tensor([4.0, 0.5]),
    "blocks.1.fc2": torch.tensor([11.0, 1.0]),
}


def cycles(flags):
    """100, 10 for each tile of q, 30 for each of fc2."""
    return 100 + sum(int(f.sum()) * (10 if n.endswith("q") else 30) for n, f in flags.items())


def chosen(limit):
    flags = choose_tiles(SCORES, cycles, limit)
    return {
        (name, tile) for name, part in flags.items() for tile in part.nonzero().flatten().tolist()
    }


def test_best_ratio_first():
    # Per cycle: q .8, .4, fc2 .37, .3, q .1, ...
    assert chosen(110) == {("blocks.0.q", 1)}
    assert chosen(120) == {("blocks.0.q", 1), ("blocks.1.q", 0)}
    assert chosen(150) == {("blocks.0.q", 1), ("blocks.1.q", 0), ("blocks.1.fc2", 0)}


def test_limit_is_kept_and_used():
    for limit in range(100, 270, 10):
        flags = choose_tiles(SCORES, cycles, limit)
        assert cycles(flags) <= limit
    assert sum(int(part.sum()) for part in choose_tiles(SCORES, cycles, 999).values()) == 8
    assert not chosen(100)


def test_too_few_cycles_are_refused():
    with pytest.raises(UserError, match="100 cycles with 4-bit rows alone are more than the limit"):
        choose_tiles(SCORES, cycles, 99)


def test_costs_are_measured_by_kind():
    none = {name: torch.zeros(2, dtype=torch.bool) for name in SCORES}
    costs = tile_costs(none, cycles, 100)
    assert costs == {n: 10 if n.endswith("q") else 30 for n in SCORES}


def test_rows_and_tiles():
    tiles = tile_scores({"a": torch.tensor([1.0, 2, 3, 4, 5])}, 2)["a"]
    assert tiles.tolist() == [3, 7, 5]
    assert rows_of(torch.tensor([True, False, True]), 5, 2).tolist() == [8, 8, 4, 4, 8]
