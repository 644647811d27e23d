"""Cycles of many networks at once: the vectorised latency model of a search.

The exact model, :mod:`rtl.timing.simulate`, simulates a program's instructions one by one. This one
goes phase by phase (:mod:`nas.cost.phases`) and asks of each what it waits for:

- the array, whose cycles are exact;
- the loads, weight block by weight block: memory runs ahead of the array as far as the weight ring
  and the queues let it (:mod:`nas.cost.weight_blocks`);
- the program, whose instructions come through the same memory;
- the LayerNorm before, tile by tile.

What is left, pipelines that fill and drain at each turn, is in a handful of coefficients
(:class:`Coefficients`). ``python -m nas.calibrate`` fits them to the exact model and holds both
models against the RTL.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, fields

import numpy as np
from scipy.optimize import least_squares

from nas.cost.coefficients import STEPS, Coefficients
from nas.cost.cutting import all_cuts
from nas.cost.networks import Array, Networks
from nas.cost.sizes import Sizes
from nas.cost.timeline import Batch, Memories, Timeline
from rtl.config import EngineConfig
from rtl.timing import UnitLatencies

PRIOR = 0.002  # weight of a coefficient's distance from its default, in a fit of relative errors
ROBUST = 0.01  # relative errors beyond this count linearly in a fit
CONVERGED, MOST_STEPS = 1e-4, 40  # a fit's end: relative gain of a step, and their number
MOST_IN_BATCH = 1024  # networks whose arrays fit a processor's cache


@dataclass(frozen=True)
class LatencyModel:
    """Cycles of networks on one engine.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
        Of this engine: :func:`rtl.timing.latencies.unit_latencies`.
    coefficients : Coefficients
    """

    engine: EngineConfig
    latencies: UnitLatencies
    coefficients: Coefficients = field(default_factory=Coefficients)

    def cycles(self, networks: Networks, memories: Memories) -> Array:
        """(n,) cycles of one image from start to end; limits of the engine are not checked."""
        result = np.empty(len(networks))
        for part, batch in self._batches(networks, memories):
            result[part] = self._of(batch)
        return result

    def _batches(self, networks: Networks, memories: Memories) -> Iterator[tuple[Array, Batch]]:
        """Networks that are alike, whose arrays have few empty places; and which they are."""
        cuts = all_cuts(Sizes(networks, self.engine))
        alike = np.lexsort((networks.depth, networks.width))
        for start in range(0, len(networks), MOST_IN_BATCH):
            part = alike[start : start + MOST_IN_BATCH]
            sizes = Sizes(networks[part], self.engine)
            yield part, Batch(sizes, [each[part] for each in cuts], memories[part])

    def _of(self, batch: Batch) -> Array:
        return Timeline(batch, self.latencies, self.coefficients).cycles()

    def fitted(self, networks: Networks, memories: Memories, cycles: Array) -> "LatencyModel":
        """The same model with coefficients of least relative error.

        Parameters
        ----------
        networks, memories
            What was measured.
        cycles : (n,) float
            Of an image, by the exact model or on the RTL.
        """
        start, steps = np.array(astuple(self.coefficients)), np.array(astuple(STEPS))
        batches = list(self._batches(networks, memories))

        def model(position: Array) -> LatencyModel:
            values = (float(value) for value in start + position * steps)
            return LatencyModel(self.engine, self.latencies, Coefficients(*values))

        def errors(position: Array) -> Array:
            relative = [model(position)._of(batch) / cycles[part] - 1 for part, batch in batches]
            return np.concatenate([*relative, PRIOR * position])

        positive = [each.name == "contention" for each in fields(Coefficients)]
        lowest = np.where(positive, -start / steps, -np.inf)
        found = least_squares(
            errors,
            np.zeros(len(start)),
            bounds=(lowest, np.inf),
            loss="soft_l1",
            f_scale=ROBUST,
            diff_step=0.02,
            ftol=CONVERGED,
            max_nfev=MOST_STEPS,
        )
        return model(found.x)
