"""Random networks whose predicted cycles a calibration compares with the RTL.

They have sizes of many kinds and belong to no search space.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

import numpy as np

from nas.space import bits8_tiles
from rtl.board import Board
from rtl.compiler import Program, lower, plan
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model.keep import with_keep
from rtl.model.shape import LAYERS, BlockShape, NetworkShape
from rtl.timing import MemoryTiming, Prediction, simulate
from rtl.timing.bound import least_array_cycles
from rtl.timing.latencies import unit_latencies

LARGE_ARRAY = 4096  # products per cycle from which an engine is meant for ImageNet's networks
MEMORIES = ((1.0, 1.0), (2 / 3, 2.0), (1 / 2, 3.0))
"""Factors of the board's bandwidth and latency: as it is, at a faster clock, shared with others."""
FRACTIONS = (0, 0, 0.25, 0.5, 1)  # of 8-bit row tiles of a matrix
SELECTIONS, SHARES = 3, (0.5, 1)  # blocks that select, and of the patches that stay
TRIES = 1000  # networks refused in a row until the engine counts as unsuitable
ENDS_BY = 40  # networks among which are the least and the greatest depth, where the engine has them


@dataclass(frozen=True)
class NetworkFamily:
    """Choices of every size of random networks.

    Parameters
    ----------
    grids : sequence of int
        Rows of patches, and patches in a row.
    patches, channels, widths, head_dims, depths, classes : sequence of int
    mlp_ratios : sequence of float
    most_cycles : int
        Upper limit of the array's cycles, so that a simulation takes seconds.
    """

    grids: Sequence[int]
    patches: Sequence[int]
    channels: Sequence[int]
    widths: Sequence[int]
    head_dims: Sequence[int]
    depths: Sequence[int]
    classes: Sequence[int]
    mlp_ratios: Sequence[float]
    most_cycles: int


LARGE = NetworkFamily(
    grids=(7, 8, 10, 12, 14, 16),
    patches=(8, 14, 16),
    channels=(3,),
    widths=range(128, 641, 32),
    head_dims=(32, 64),
    depths=range(2, 13),
    classes=(10, 100, 1000),
    mlp_ratios=(2, 3, 4),
    most_cycles=300_000,
)
SMALL = NetworkFamily(
    grids=(3, 4, 5, 6, 7, 8),
    patches=(4, 7, 8),
    channels=(1, 3),
    widths=range(32, 129, 16),
    head_dims=(16, 32),
    depths=range(1, 7),
    classes=(10, 100),
    mlp_ratios=(1, 2, 3, 4),
    most_cycles=100_000,
)


@dataclass(frozen=True)
class Sample:
    """A network with the memory that it runs on.

    Parameters
    ----------
    shape : NetworkShape
    memory : MemoryTiming
        Its bytes per cycle are a multiple of 1/256, as the simulated memory has it.
    """

    shape: NetworkShape
    memory: MemoryTiming

    def predicted(self, engine: EngineConfig) -> tuple[Program, Prediction]:
        """Compile the network for an engine, and simulate one image of it."""
        program = lower(plan(self.shape, engine))
        return program, simulate(program, self.memory, unit_latencies(engine))


def family_of(engine: EngineConfig) -> NetworkFamily:
    """Return the networks that an engine of this size is meant for."""
    return LARGE if engine.products >= LARGE_ARRAY else SMALL


def sample_subnets(board: Board, engine: EngineConfig, count: int, seed: int) -> list[Sample]:
    """Draw networks that the engine can run; equal seeds give equal networks.

    The memories of :data:`MEMORIES` take turns. The first networks of a longer list are those of a
    shorter one. In a list of ``ENDS_BY`` or more, some have the family's least and greatest depth.

    Raises
    ------
    UserError
        If the engine runs hardly any network of its family.
    """
    drawn = _draw(engine, np.random.default_rng(seed))
    depths = family_of(engine).depths
    missing = {min(depths), max(depths)}
    samples = []
    for index in range(count):
        bandwidth, latency = MEMORIES[index % len(MEMORIES)]
        memory = MemoryTiming(
            round(board.bytes_per_cycle() * bandwidth * 256) / 256,
            round(board.memory.latency_cycles * latency),
        )
        shape = next(drawn)
        if ENDS_BY - len(missing) <= index < ENDS_BY:
            ends = (each for each in islice(drawn, TRIES) if len(each.blocks) in missing)
            shape = shape if len(shape.blocks) in missing else next(ends, shape)
        missing.discard(len(shape.blocks))
        samples.append(Sample(shape, memory))
    return samples


def _draw(engine: EngineConfig, rng: np.random.Generator) -> Iterator[NetworkShape]:
    """Yield networks within the engine's limits and the family's cycles."""
    family = family_of(engine)
    refused = 0
    while refused < TRIES:
        shape = _random_shape(family, engine, rng)
        refused += 1
        try:
            planned = plan(shape, engine)
        except UserError:
            continue
        if least_array_cycles(planned) <= family.most_cycles:
            refused = 0
            yield shape
    raise UserError(
        f"engine '{engine.name}' runs hardly any of the networks that it is calibrated with:"
        f" {TRIES} in a row were refused"
    )


def _random_shape(
    family: NetworkFamily, engine: EngineConfig, rng: np.random.Generator
) -> NetworkShape:
    def choose(choices: Sequence[float]) -> float:
        return choices[int(rng.integers(len(choices)))]

    def flags(rows: int) -> tuple[bool, ...]:
        tiles = ceil(rows / engine.row_lanes)
        order = [int(tile) for tile in rng.permutation(tiles)]
        return bits8_tiles(tiles, choose(FRACTIONS), order)

    patch, grid = int(choose(family.patches)), int(choose(family.grids))
    width, head_dim = int(choose(family.widths)), int(choose(family.head_dims))
    classes = int(choose(family.classes))
    usual = max(1, round(width / head_dim * rng.uniform(0.7, 1.3)))
    alike = bool(rng.integers(2))  # all blocks of the same size

    def block(heads: int, ratio: float) -> BlockShape:
        inner, hidden = heads * head_dim, round(ratio * width)
        rows = dict(zip(LAYERS, (inner, inner, inner, width, hidden, width), strict=True))
        return BlockShape(heads, hidden, tuple((name, flags(size)) for name, size in rows.items()))

    ratio = choose(family.mlp_ratios)
    blocks = []
    for _ in range(int(choose(family.depths))):
        heads = usual if alike else max(1, usual + int(rng.integers(-1, 2)))
        blocks.append(block(heads, ratio if alike else choose(family.mlp_ratios)))
    shape = NetworkShape(
        image=(patch * grid, patch * grid, int(choose(family.channels))),
        patch=patch,
        width=width,
        head_dim=head_dim,
        classes=classes,
        row_granularity=engine.row_lanes,
        blocks=tuple(blocks),
        embed_bits8=flags(width),
        head_bits8=flags(classes),
    )
    return _selecting(shape, rng) if engine.select_tokens else shape


def _selecting(shape: NetworkShape, rng: np.random.Generator) -> NetworkShape:
    """Let up to three blocks of every other network keep some of their patches."""
    others = len(shape.blocks) - 1  # than the last one
    if rng.integers(2) or not others:
        return shape
    keep, left = {}, shape.patches
    for block in sorted(rng.choice(others, min(SELECTIONS, others), replace=False)):
        left = ceil(left * rng.uniform(*SHARES))
        keep[int(block)] = left
    return with_keep(shape, keep)
