"""Exact costs of networks on engines: each is computed once, and kept on disk for later runs.

The timing model compiles a network and simulates its program, which takes some 10 ms for a small
network and 200 ms for a large one. A search asks for about a thousand networks.
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import astuple, dataclass
from itertools import repeat
from math import inf
from pathlib import Path

from nas.cost.hardware import HardwareTarget
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
    """Cost of one image of a network; infinite where the engine refuses the network.

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
        self._kept: dict[HardwareTarget, KeptCosts] = {}

    def of(self, hardware: HardwareTarget, shapes: Sequence[NetworkShape]) -> list[ImageCost]:
        """Return the costs of networks on one engine, in their order."""
        with self.timer:
            if hardware not in self._kept:
                self._kept[hardware] = KeptCosts(self.folder / f"{hardware_key(hardware)}.txt")
            kept = self._kept[hardware]
            keys = [network_key(shape) for shape in shapes]
            new = {
                key: shape for key, shape in zip(keys, shapes, strict=True) if key not in kept.costs
            }
            run = self.executor.map if self.executor and len(new) > 1 else map
            computed = run(image_cost, repeat(hardware, len(new)), [*new.values()])
            for key, cost in zip(new, computed, strict=True):
                kept.add(key, cost)
            self.computed += len(new)
            return [kept.costs[key] for key in keys]

    def cycles(self, hardware: HardwareTarget, shapes: Sequence[NetworkShape]) -> list[float]:
        """Return the cycles per image of networks on one engine, in their order."""
        return [cost.cycles for cost in self.of(hardware, shapes)]


def network_key(shape: NetworkShape) -> str:
    """Hash of all sizes of a network."""
    return sha256_of(repr(shape))[:HASH_DIGITS]


def hardware_key(hardware: HardwareTarget) -> str:
    """Hash of all that decides the cost of a network, beside the network."""
    engine = hardware.engine
    parts = f"{engine.hash:016x}", repr(hardware.memory), repr(unit_latencies(engine))
    return sha256_of(fingerprint(), *parts)[:HASH_DIGITS]


class KeptCosts:
    """Costs of networks on one engine, in a file that only grows: a line for each network.

    A line ends with a hash of itself, so one that was torn or damaged is left out, and its network
    is computed again. Processes may share the file: each appends whole lines, and begins a new one
    whatever the file ends with. As costs can be computed again, a file that cannot be read or
    written is no error.

    Parameters
    ----------
    path : Path
        The file; it need not exist.

    Attributes
    ----------
    costs : dict of str to ImageCost
        Costs by the network's key (:func:`network_key`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.costs: dict[str, ImageCost] = {}
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                content, _, check = line.rpartition(b" ")
                if check == _check(content):
                    key, *values = content.split()
                    self.costs[key.decode()] = ImageCost(*map(json.loads, values))

    def add(self, key: str, cost: ImageCost) -> None:
        """Keep a cost."""
        self.costs[key] = cost
        content = " ".join([key, *map(json.dumps, astuple(cost))]).encode()
        line = b"\n" + content + b" " + _check(content)
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(line)


def _check(content: bytes) -> bytes:
    return sha256_of(content)[:8].encode()
