"""Cycles of a search's candidates: of thousands by the vectorised model, of the best exactly."""

from functools import cached_property
from math import inf
from typing import Protocol

import numpy as np

from nas.cost.hardware import Hardware
from nas.cost.latency import LatencyModel, Memories
from nas.cost.networks import Array, Networks
from nas.space import NATURAL_ORDER, Arch, Space, TileOrder
from rtl.compiler.latencies import unit_latencies
from rtl.errors import UserError
from rtl.shape import LAYERS

ANCHORS = 48  # random subnets of a space that its vectorised model is fitted to


class Costs(Protocol):
    """What a search wants to know of its candidates; infinite cycles where one does not fit."""

    def cycles(self, genes: Array) -> Array:
        """(n,) cycles per image of (n, genes) candidates; fast."""
        ...

    def exact(self, arch: Arch) -> float:
        """Cycles per image of one candidate; as exact as can be predicted."""
        ...


class SubnetCosts:
    """Costs of a space's subnets on a board's engine.

    The vectorised model is fitted once to the exact one, on random subnets of this very space.

    Parameters
    ----------
    hardware : Hardware
    space : Space
    order : TileOrder
        Ranks the row tiles, as the trained supernet froze it; matters to exact cycles alone.
    """

    def __init__(self, hardware: Hardware, space: Space, order: TileOrder = NATURAL_ORDER) -> None:
        self.hardware, self.space, self.order = hardware, space, order
        self._exact: dict[Arch, float] = {}
        self._cycles: dict[bytes, float] = {}
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
        genes = np.asarray(genes, np.int64)
        keys = [row.tobytes() for row in genes]
        new = {key: place for place, key in enumerate(keys) if key not in self._cycles}
        if new:
            cycles = self._predicted(genes[list(new.values())])
            self._cycles |= zip(new, cycles, strict=True)
        return np.array([self._cycles[key] for key in keys])

    def _predicted(self, genes: Array) -> Array:
        fits = self.fits(genes)
        found = np.full(len(genes), inf)
        if fits.any():
            networks = Networks.of_genes(self.space, genes[fits])
            memories = Memories.of(self.hardware.memory)
            found[fits] = np.rint(self.model.cycles(networks, memories))
        return found

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
        block = genes[:, 4:].reshape(len(genes), space.depths[-1], 2 + len(LAYERS))
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
