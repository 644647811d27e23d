"""Exact costs of networks on engines: each is computed once, and kept on disk for later runs.

The timing model compiles a network and simulates its program, which takes some 10 ms for a small
network and 200 ms for a large one. A search asks for about a thousand networks.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import astuple, dataclass
from itertools import repeat
from math import inf
from pathlib import Path

from nas.cost.hardware import HardwareTarget
from nas.cost.kept import KeptResults
from rtl.errors import UserError
from rtl.files import sha256_of
from rtl.model.shape import NetworkShape
from rtl.timing.fingerprint import fingerprint
from rtl.timing.latencies import unit_latencies
from rtl.timing.traffic import work_of
from sim.toolchain.cache import cache_directory

HASH_DIGITS = 24  # of the hashes that name engines and networks


@dataclass(frozen=True)
class ImageCost:
    """Cost of one image of a network; infinite where engine or memory refuse the network.

    Parameters
    ----------
    cycles : float
        Cycles from the start to the end of the image.
    array_cycles : float
        Cycles in which the array multiplies.
    memory_bytes, scratchpad_bytes : float
        Bytes read and written, in external memory and on the chip.
    """

    cycles: float
    array_cycles: float
    memory_bytes: float
    scratchpad_bytes: float


REFUSED = ImageCost(inf, inf, inf, inf)


def image_cost(hardware: HardwareTarget, shape: NetworkShape) -> ImageCost:
    """Compile a network and count what an image of it takes. Worker processes call this, too."""
    try:
        program = hardware.compile(shape)
        hardware.require_memory(program)
    except UserError:
        return REFUSED
    work = work_of(program)
    return ImageCost(hardware.cycles(program), work.array_cycles, work.bytes, work.scratchpad_bytes)


class CostingTimer:
    """Sum of the time of all ``with`` blocks; of nested ones, the outermost counts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._started = 0, 0.0

    def __enter__(self) -> None:
        if not self._depth:
            self._started = time.perf_counter()
        self._depth += 1

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.seconds += time.perf_counter() - self._started


class ExactCosts:
    """Costs of networks on engines, each computed at most once.

    Parameters
    ----------
    executor : Executor, optional
        Pool of worker processes (:func:`nas.cost.sweep.workers`). By default this process computes.
    folder : Path, optional
        Folder of the costs that are kept. By default ``costs`` in the cache of this package.

    Attributes
    ----------
    timer : CostingTimer
        Runs while somebody waits for costs.
    computed : int
        Number of costs that were not on disk.
    """

    def __init__(self, executor: Executor | None = None, folder: Path | None = None) -> None:
        self.executor = executor
        self.folder = folder or cache_directory() / "costs"
        self.timer, self.computed = CostingTimer(), 0
        self._kept: dict[HardwareTarget, KeptResults] = {}

    def of(self, hardware: HardwareTarget, shapes: Sequence[NetworkShape]) -> list[ImageCost]:
        """Return the costs of networks on one engine, in their order."""
        with self.timer:
            if hardware not in self._kept:
                self._kept[hardware] = KeptResults(self.folder / f"{hardware_key(hardware)}.txt")
            kept = self._kept[hardware]
            keys = [network_key(shape) for shape in shapes]
            pairs = zip(keys, shapes, strict=True)
            new = {key: shape for key, shape in pairs if key not in kept.values}
            run = self.executor.map if self.executor and len(new) > 1 else map
            computed = run(image_cost, repeat(hardware, len(new)), [*new.values()])
            for key, cost in zip(new, computed, strict=True):
                kept.add(key, astuple(cost))
            self.computed += len(new)
            return [ImageCost(*kept.values[key]) for key in keys]

    def cycles(self, hardware: HardwareTarget, shapes: Sequence[NetworkShape]) -> list[float]:
        """Return the cycles per image of networks on one engine, in their order."""
        return [cost.cycles for cost in self.of(hardware, shapes)]


def network_key(shape: NetworkShape) -> str:
    """Hash of all sizes of a network."""
    return sha256_of(repr(shape))[:HASH_DIGITS]


def hardware_key(hardware: HardwareTarget) -> str:
    """Hash of all that decides the cost of a network, beside the network."""
    engine = hardware.engine
    memory = repr((hardware.memory, hardware.board.memory.capacity_bytes))
    parts = f"{engine.hash:016x}", memory, repr(unit_latencies(engine))
    return sha256_of(fingerprint(), *parts)[:HASH_DIGITS]
