"""Which row tiles get 8 bits: the most accuracy for a number of cycles."""

import random
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rtl.errors import UserError

Cycles = Callable[[Mapping[str, Tensor]], int]
"""Exact cycles of the network with these 8-bit flags, (tiles,) bool by layer."""

PROBED_SHARE = 0.5
"""Share of a kind of layer's tiles that is widened to measure what a tile costs."""


def tile_scores(rows: Mapping[str, Tensor], granularity: int) -> dict[str, Tensor]:
    """Add up scores of rows to those of row tiles."""
    return {
        name: torch.stack([part.sum() for part in scores.split(granularity)])
        for name, scores in rows.items()
    }


def choose_tiles(
    scores: Mapping[str, Tensor], cycles: Cycles, limit: int, chance: int | None = None
) -> dict[str, Tensor]:
    """Choose the tiles with the best ratio of score to cycles, as many as the limit allows.

    Parameters
    ----------
    scores : mapping of str to (tiles,)
        Loss where a tile has 4 bits, by the layer's full name.
    cycles : callable
    limit : int
        Most cycles.
    chance : int, optional
        Seed: take tiles by chance instead.

    Returns
    -------
    dict of str to (tiles,) bool

    Raises
    ------
    UserError
        If the network needs more cycles with 4-bit rows alone.
    """
    none = {name: torch.zeros(len(part), dtype=torch.bool) for name, part in scores.items()}
    least = cycles(none)
    if least > limit:
        raise UserError(
            f"{least:,} cycles with 4-bit rows alone are more than the limit of {limit:,}: allow"
            " more cycles (--cycles, or fewer --fps) or take a faster engine"
        )
    ranked = sorted((name, tile) for name, part in scores.items() for tile in range(len(part)))
    if chance is None:
        cost = tile_costs(none, cycles, least)
        ranked.sort(key=lambda place: -float(scores[place[0]][place[1]]) / cost[place[0]])
    else:
        random.Random(chance).shuffle(ranked)

    def first(count: int) -> dict[str, Tensor]:
        flags = {name: part.clone() for name, part in none.items()}
        for name, tile in ranked[:count]:
            flags[name][tile] = True
        return flags

    low, high = 0, len(ranked)
    while low < high:  # the most tiles within the limit
        middle = (low + high + 1) // 2
        if cycles(first(middle)) <= limit:
            low = middle
        else:
            high = middle - 1
    return first(low)


def tile_costs(none: Mapping[str, Tensor], cycles: Cycles, least: int) -> dict[str, float]:
    """Measure cycles that an 8-bit tile adds, by the layer's full name.

    Layers of one kind are widened together, half of their tiles in every block: a single tile often
    hides behind other work.
    """
    cost: dict[str, float] = {}
    kinds = {name.rpartition(".")[2] for name in none}
    for kind in sorted(kinds):
        names = [name for name in none if name.rpartition(".")[2] == kind]
        flags = {name: part.clone() for name, part in none.items()}
        for name in names:
            flags[name][: max(1, round(len(flags[name]) * PROBED_SHARE))] = True
        tiles = sum(int(flags[name].sum()) for name in names)
        per_tile = max((cycles(flags) - least) / tiles, 1e-3)
        cost |= dict.fromkeys(names, per_tile)
    return cost


def rows_of(flags: Tensor, rows: int, granularity: int) -> Tensor:
    """Weight bits of each row, (rows,), from the flags of row tiles."""
    return torch.where(flags, 8, 4).repeat_interleave(granularity)[:rows]
