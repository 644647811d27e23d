"""Costs of a search's candidates: of thousands by the vectorised models, of the best exactly."""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import inf
from typing import Protocol

import numpy as np

from nas.cost.calibration import power_model
from nas.cost.hardware import HardwareTarget
from nas.cost.latency import LatencyModel, Memories
from nas.cost.networks import Array, Networks
from nas.cost.objectives import Objective
from nas.cost.traffic import traffic_of
from nas.space import NATURAL_ORDER, Arch, Space, TileOrder
from rtl.errors import UserError
from rtl.model.shape import LAYERS
from rtl.timing.latencies import unit_latencies

COUNTED: tuple[Objective, ...] = ("array_cycles", "memory_bytes", "scratchpad_bytes")
ANCHORS = 48  # random subnets of a space that its vectorised model is fitted to


class Costs(Protocol):
    """What a search wants to know of its candidates; infinite where one does not fit."""

    def cycles(self, genes: Array) -> Array:
        """(n,) cycles per image of (n, genes) candidates; fast."""
        ...

    def exact(self, arch: Arch) -> float:
        """Cycles per image of one candidate; as exact as can be predicted."""
        ...

    def objectives(self, genes: Array) -> Array:
        """(n, objectives) what is to be low, beside the error; fast."""
        ...


class SubnetCosts:
    """Costs of a space's subnets on a board's engine.

    The vectorised model is fitted once to the exact one, on random subnets of this very space.

    Parameters
    ----------
    hardware : HardwareTarget
    space : Space
    order : TileOrder
        Ranks the row tiles, as the trained supernet froze it; matters to exact cycles alone.
    names : sequence of Objective
        What :meth:`objectives` gives.

    Raises
    ------
    UserError
        If energy is among them, and no power report was imported for the board.
    """

    def __init__(
        self,
        hardware: HardwareTarget,
        space: Space,
        order: TileOrder = NATURAL_ORDER,
        names: Sequence[Objective] = ("cycles",),
    ) -> None:
        self.hardware, self.space, self.order, self.names = hardware, space, order, names
        self.power = power_model(hardware.board) if "energy_joules" in names else None
        self._exact: dict[Arch, float] = {}
        self._cycles: dict[bytes, Array] = {}
        self._traffic: dict[bytes, Array] = {}
        self._fits: dict[int, bool] = {}

    def exact(self, arch: Arch) -> float:
        """Cycles by the compiler's timing model; infinite where the engine refuses the subnet."""
        if arch not in self._exact:
            shape = self.space.shape(arch, self.order)
            try:
                self.hardware.check(shape)
                self._exact[arch] = self.hardware.cycles(shape)
            except UserError:
                self._exact[arch] = inf
        return self._exact[arch]

    def cycles(self, genes: Array) -> Array:
        """(n,) cycles by the vectorised model; infinite where the engine refuses the subnet."""
        return self._remembered(self._cycles, genes, self._predicted, 1)[:, 0]

    def objectives(self, genes: Array) -> Array:
        """(n, names) by the vectorised models; infinite where the engine refuses the subnet."""
        columns = {"cycles": self.cycles(genes)}
        if set(self.names) - columns.keys():
            traffic = self._remembered(self._traffic, genes, self._counted, len(COUNTED))
            columns |= zip(COUNTED, traffic.T, strict=True)
        if self.power:
            products = columns["array_cycles"] * self.hardware.engine.products
            columns["energy_joules"] = self.power.joules(products)
        return np.stack([columns[name] for name in self.names], axis=1)

    def _predicted(self, networks: Networks) -> Array:
        memories = Memories.of(self.hardware.memory)
        return np.rint(self.model.cycles(networks, memories))[:, None]

    def _counted(self, networks: Networks) -> Array:
        traffic = traffic_of(networks, self.hardware.engine)
        return np.stack([getattr(traffic, name) for name in COUNTED], axis=1)

    def _remembered(
        self,
        known: dict[bytes, Array],
        genes: Array,
        compute: Callable[[Networks], Array],
        values: int,
    ) -> Array:
        """(n, values) of candidates; of those not known yet that fit, ``compute`` finds them."""
        genes = np.asarray(genes, np.int64)
        keys = [row.tobytes() for row in genes]
        new = {key: place for place, key in enumerate(keys) if key not in known}
        if new:
            asked = genes[list(new.values())]
            fits = self.fits(asked)
            found = np.full((len(new), values), inf)
            if fits.any():
                found[fits] = compute(Networks.of_genes(self.space, asked[fits]))
            known |= zip(new, found, strict=True)
        return np.stack([known[key] for key in keys])

    @cached_property
    def model(self) -> LatencyModel:
        """The vectorised model, fitted to the space."""
        engine = self.hardware.engine
        model = LatencyModel(engine, unit_latencies(engine))
        drawn = np.random.default_rng(0).integers(
            0, self.space.gene_choices, (4 * ANCHORS, len(self.space.gene_choices))
        )
        anchors = drawn[self.fits(drawn)][:ANCHORS]
        if not len(anchors):
            return model
        exact = np.array([self.exact(self.space.decode(genes)) for genes in anchors])
        networks = Networks.of_genes(self.space, anchors)
        return model.fitted(networks, Memories.of(self.hardware.memory), exact)

    # ------------------------------------------------------------ limits of the engine

    def fits(self, genes: Array) -> Array:
        """(n,) whether the engine can run each subnet.

        Every limit concerns one block, or none, so a subnet fits if each of its blocks does
        alone; of these there are few.
        """
        keys, arrangement = self._blocks(genes)
        unique, where = np.unique(keys[arrangement], return_inverse=True)
        answers = np.array([self._fit(int(key), genes, keys) for key in unique])
        result = np.ones(keys.shape, bool)
        result[arrangement] = answers[where]
        return np.asarray(result.all(axis=1))

    def _blocks(self, genes: Array) -> tuple[Array, Array]:
        """(n, blocks) what limits depend on, as one number for each block; where blocks are."""
        space = self.space
        depth = np.array(space.depths)[genes[:, 1]]
        block = space.block_genes(genes)
        exists = np.arange(space.depths[-1]) < depth[:, None]
        some_wide = np.array(space.fractions) > 0
        keys = np.zeros(exists.shape, np.int64)
        digits = (
            (np.broadcast_to(genes[:, :1], exists.shape), len(space.widths)),
            *((np.broadcast_to(some_wide[genes[:, i : i + 1]], exists.shape), 2) for i in (2, 3)),
            (block[..., 0], len(space.heads)),
            (block[..., 1], len(space.mlp_ratios)),
            *((some_wide[block[..., 2 + i]], 2) for i in range(len(LAYERS))),
        )
        for digit, choices in digits:
            keys = keys * choices + digit
        return keys, exists

    def _fit(self, key: int, genes: Array, keys: Array) -> bool:
        """Whether a block of this key fits; ``genes`` and ``keys`` hold an example."""
        if key not in self._fits:
            network, place = np.argwhere(keys == key)[0]
            arch = self.space.decode(genes[network])
            blocks = self.space.decode(self._deepest(genes[network])).blocks
            one = Arch(arch.width, arch.embed_wide, arch.head_wide, (blocks[place],))
            try:
                self.hardware.check(self.space.shape(one))
                self._fits[key] = True
            except UserError:
                self._fits[key] = False
        return self._fits[key]

    def _deepest(self, genes: Array) -> Array:
        """The same genes with all blocks there."""
        deepest = genes.copy()
        deepest[1] = len(self.space.depths) - 1
        return deepest
