"""Frame rates to search for: the default ones, and the refusal of those out of reach."""

from collections.abc import Sequence

import numpy as np

from nas.cost import HardwareTarget, SubnetCosts
from nas.cost.estimate import Estimate
from nas.cost.latency import LatencyModel, Memories
from nas.cost.networks import Networks
from nas.space import Space
from rtl.errors import UserError
from rtl.timing.latencies import unit_latencies

QUANTILES = (0.95, 0.5, 0.1)  # of the space's predicted cycles: slowest target first
SAMPLES = 256  # random subnets that stand for the space


def default_targets(hardware: HardwareTarget, space: Space) -> tuple[float, ...]:
    """Three frame rates, from the cycles of random subnets; two digits each.

    By the vectorised model as it is, without a fit; the smallest subnet reaches them exactly.

    Raises
    ------
    UserError
        If the engine cannot run even the smallest subnet; it names the limit.
    """
    hardware.check(space.shape(space.smallest()))
    choices, engine = space.gene_choices, hardware.engine
    drawn = np.random.default_rng(0).integers(0, choices, (SAMPLES, len(choices)))
    genes = np.vstack([space.encode(space.smallest()), drawn])
    networks = Networks.of_genes(space, genes[SubnetCosts(hardware, space).fits(genes)])
    model = LatencyModel(engine, unit_latencies(engine))
    cycles = model.cycles(networks, Memories.of(hardware.memory))
    least = np.maximum(np.quantile(cycles, QUANTILES), _fewest_cycles(hardware, space))
    rates = [hardware.frames_per_second(each) for each in least]
    return tuple(dict.fromkeys(_floor_to_two_digits(rate) for rate in rates))


def require_reachable(targets: Sequence[float], hardware: HardwareTarget, space: Space) -> None:
    """Refuse a target that not even the smallest subnet reaches.

    Raises
    ------
    UserError
        If there is one; it says which rate is within reach, and what binds there. Or as
        :func:`default_targets`.
    """
    hardware.check(space.shape(space.smallest()))
    for target in targets:
        if not reaches([target], hardware, space):
            cycles = _fewest_cycles(hardware, space)
            binds = Estimate.of(hardware, space.shape(space.smallest())).binds
            raise UserError(
                f"no subnet reaches {target:g} frames per second on board"
                f" '{hardware.board.name}': the fastest takes {cycles:,} cycles,"
                f" {fastest_rate(hardware, space):g} frames per second; what binds: {binds}"
            )


def reaches(targets: Sequence[float], hardware: HardwareTarget, space: Space) -> bool:
    """Whether the smallest subnet reaches all targets."""
    return _fewest_cycles(hardware, space) <= hardware.cycle_limit(max(targets))


def fastest_rate(hardware: HardwareTarget, space: Space) -> float:
    """Frames per second of the smallest subnet, two digits, rounded down."""
    return _floor_to_two_digits(hardware.frames_per_second(_fewest_cycles(hardware, space)))


def _fewest_cycles(hardware: HardwareTarget, space: Space) -> int:
    return hardware.cycles(space.shape(space.smallest()))


def _floor_to_two_digits(rate: float) -> float:
    unit = 10.0 ** (np.floor(np.log10(rate)) - 1)
    return float(f"{np.floor(rate / unit) * unit:.6g}")
