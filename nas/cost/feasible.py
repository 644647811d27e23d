"""The nearest designs that reach a frame rate, by the exact timing model."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from math import inf

from nas.cost.engine_search.grid import EngineGrid, require_limits, resource_model_of
from nas.cost.engine_search.search import reaching
from nas.cost.engine_search.sizing import MULTIPLIERS
from nas.cost.estimate import Estimate, excess
from nas.cost.hardware import HardwareTarget
from nas.cost.networks import NamedNetwork
from rtl.board import Board
from rtl.build.synthesis import family_of
from rtl.config import PRESETS, SELECTING, EngineConfig
from rtl.errors import UserError
from rtl.model.numerics import ACT_BITS
from rtl.model.shape import NetworkShape

W8_STEPS = 20  # fractions of 8-bit row tiles that are tried, from 0 to 1
FASTEST_HZ = 1_000_000_000  # clock that no board exceeds
CLOCK_STEP_HZ = 1_000_000


@dataclass(frozen=True)
class NetworkDesign:
    """A network on an engine of a board.

    Parameters
    ----------
    network : NamedNetwork
    estimate : Estimate
    """

    network: NamedNetwork
    estimate: Estimate

    @classmethod
    def of(cls, network: NamedNetwork, hardware: HardwareTarget) -> "NetworkDesign":
        """Estimate a network; ``UserError`` if the engine cannot run it."""
        return cls(network, Estimate.of(hardware, network.shape_on(hardware.engine)))

    def reaches(self, fps: float) -> bool:
        return self.estimate.frames_per_second >= fps


def lower_precision(
    network: NamedNetwork, hardware: HardwareTarget, fps: float
) -> NetworkDesign | None:
    """Find the design with fewer 8-bit row tiles that reaches the rate, and has the most of them.

    If none does, the one without any; None where there is nothing to lower, as in a file.
    """
    fractions = [i / W8_STEPS for i in range(W8_STEPS) if i / W8_STEPS < network.bits8]
    if network.is_integer or not fractions:
        return None

    @cache
    def design(fraction: float) -> NetworkDesign:
        return NetworkDesign.of(replace(network, bits8=fraction), hardware)

    # Cycles grow with the fraction.
    slow = bisect_left(fractions, True, key=lambda fraction: not design(fraction).reaches(fps))
    return design(fractions[max(slow - 1, 0)])


@dataclass(frozen=True)
class Alternative:
    """The best that other engines can do for a network.

    Parameters
    ----------
    design : NetworkDesign or None
        The first one that reaches the rate; if none does, the fastest; None if no engine runs it.
    reason : str or None
        Why no engine was sized to the network, if so.
    """

    design: NetworkDesign | None
    reason: str | None


def other_engine(network: NamedNetwork, hardware: HardwareTarget, fps: float) -> Alternative:
    """Try other engines: those of the same ``act_bits`` first, of these the package's own."""
    fastest, reasons, selects = None, [], network.shape().selects
    for act_bits in _act_bits(network, hardware):
        known = fastest.estimate.cycles if fastest else inf
        named = [e for e in candidate_engines(hardware.board, selects) if e.act_bits == act_bits]
        sized = _sized_engines(network, hardware, fps, act_bits, known)
        try:
            for engine in chain((e for e in named if e != hardware.engine), sized):
                design = _design(network, HardwareTarget(hardware.board, engine))
                if design and design.reaches(fps):
                    return Alternative(design, None)
                if design and (not fastest or design.estimate.cycles < fastest.estimate.cycles):
                    fastest = design
        except UserError as error:  # from :func:`_sized_engines`
            reasons.append(str(error))
    return Alternative(fastest, reasons[0] if reasons else None)


def _act_bits(network: NamedNetwork, hardware: HardwareTarget) -> list[int]:
    """List the widths of activations to try: the engine's own first; a file has its own."""
    if network.is_integer:
        return [network.model.act_bits]
    return sorted(ACT_BITS, key=lambda bits: bits != hardware.engine.act_bits)


def _design(network: NamedNetwork, hardware: HardwareTarget) -> NetworkDesign | None:
    try:
        return NetworkDesign.of(network, hardware)
    except UserError:  # this engine cannot run it
        return None


def _sized_engines(
    network: NamedNetwork, hardware: HardwareTarget, fps: float, act_bits: int, known: float
) -> Iterator[EngineConfig]:
    """Yield engines sized to the network that reach the rate; at last, the fastest one.

    The fastest one is left out where all take more cycles than are ``known`` to be possible.
    """

    def networks(row_lanes: int) -> Sequence[NetworkShape]:
        return [network.shape(row_lanes)]

    def cycles_of(target: HardwareTarget, shapes: Sequence[NetworkShape]) -> Sequence[float]:
        return [Estimate.of(target, shape).cycles for shape in shapes]

    board = hardware.board
    require_limits(board)
    grid = EngineGrid(board, networks, act_bits, resource_model_of(board), cycles_of)
    for found in reaching(grid, hardware.cycle_limit(fps), known):
        yield found.engine


def candidate_engines(board: Board, selects: bool = False) -> list[EngineConfig]:
    """List the engines of the package that may fit a board, fewest products first.

    Parameters
    ----------
    board : Board
    selects : bool
        Whether they are to select tokens; those that do take room for it.
    """
    engines = [engine for engine in (SELECTING if selects else PRESETS) if fits(engine, board)]
    return sorted(engines, key=lambda engine: engine.products)


def fits(engine: EngineConfig, board: Board) -> bool:
    """Tell whether a board has the engine's kind of multipliers, and room as far as it is known."""
    if engine.multiplier != MULTIPLIERS[family_of(board.device)]:
        return False
    return excess(engine, board) is None


def clock_needed(estimate: Estimate, fps: float) -> int | None:
    """Find the slowest clock in whole MHz at which an engine reaches the rate; None if none does.

    A faster clock leaves fewer bytes of memory to a cycle.
    """
    clocks = range(CLOCK_STEP_HZ, FASTEST_HZ + 1, CLOCK_STEP_HZ)
    slow = bisect_left(clocks, True, key=lambda hz: estimate.at(hz).frames_per_second >= fps)
    return clocks[slow] if slow < len(clocks) else None
