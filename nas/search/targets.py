"""Frame rates to search for: the default ones, and the refusal of those out of reach."""

from collections.abc import Sequence

import numpy as np

from nas.cost import ExactCosts, HardwareTarget
from nas.cost.estimate import Estimate
from nas.space import Space
from rtl.compiler import plan
from rtl.errors import UserError

QUANTILES = (0.95, 0.5, 0.1)  # of the cycles of random subnets: the slowest target first
SAMPLES = 64  # random subnets


def default_targets(hardware: HardwareTarget, space: Space, costs: ExactCosts) -> tuple[float, ...]:
    """Choose three frame rates by the cycles of random subnets; two digits each.

    The smallest subnet reaches them all.

    Raises
    ------
    UserError
        If the board cannot run even the smallest subnet, or its engine selects no tokens where the
        space has such a choice; it names the limit.
    """
    _require_engine(hardware, space)
    rng = np.random.default_rng(0)
    shapes = [space.shape(space.sample(rng)) for _ in range(SAMPLES)]
    cycles = [cost.cycles for cost in costs.of(hardware, shapes)]
    fewest = fewest_cycles(hardware, space)
    chosen = np.quantile([each for each in cycles if np.isfinite(each)] or [fewest], QUANTILES)
    rates = [hardware.board.frames_per_second(max(each, fewest)) for each in chosen]
    return tuple(dict.fromkeys(_floor_to_two_digits(rate) for rate in rates))


def require_reachable(targets: Sequence[float], hardware: HardwareTarget, space: Space) -> None:
    """Refuse a frame rate that not even the smallest subnet reaches.

    Raises
    ------
    UserError
        If there is one: says which rate is within reach, and what binds there. Also if the board
        cannot run even the smallest subnet, or its engine selects no tokens where the space has
        such a choice.
    """
    _require_engine(hardware, space)
    if not reaches(targets, hardware, space):
        cycles = fewest_cycles(hardware, space)
        binds = Estimate.of(hardware, space.shape(space.smallest())).binds
        raise UserError(
            f"no subnet reaches {max(targets):g} frames per second on board"
            f" '{hardware.board.name}': the fastest takes {cycles:,} cycles,"
            f" {fastest_rate(hardware, space):g} frames per second; what binds: {binds}"
        )


def _require_engine(hardware: HardwareTarget, space: Space) -> None:
    """Refuse a board without room for the smallest subnet, and an engine that runs no keeps."""
    hardware.require_memory(hardware.compile(space.shape(space.smallest())))
    if space.keeps:
        plan(space.shape(space.most_selecting()), hardware.engine)


def reaches(targets: Sequence[float], hardware: HardwareTarget, space: Space) -> bool:
    """Tell whether the smallest subnet reaches all frame rates."""
    return fewest_cycles(hardware, space) <= hardware.cycle_limit(max(targets))


def fastest_rate(hardware: HardwareTarget, space: Space) -> float:
    """Return the frame rate of the smallest subnet, rounded down to two digits."""
    return _floor_to_two_digits(hardware.board.frames_per_second(fewest_cycles(hardware, space)))


def fewest_cycles(hardware: HardwareTarget, space: Space) -> int:
    """Return the cycles of the smallest subnet."""
    return hardware.cycles(hardware.compile(space.shape(space.smallest())))


def _floor_to_two_digits(rate: float) -> float:
    unit = 10.0 ** (np.floor(np.log10(rate)) - 1)
    return float(f"{np.floor(rate / unit) * unit:.6g}")
