"""The whole way: a trained float network and some images to an integer model for an engine."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.cost import HardwareTarget
from nas.importer.network import FloatNetwork, converted
from nas.producer import producer
from nas.quantize.arrange import (
    Statistics,
    arranged,
    folded,
    prove,
    statistics,
    table_units,
    unit_order,
)
from nas.quantize.budget import rows_of, tile_scores
from nas.quantize.choice import TileChoice
from nas.quantize.export import export
from nas.quantize.kept import KeptBlocks, key_of
from nas.quantize.method import Method
from nas.quantize.network import QuantizedNetwork
from nas.quantize.pipeline import Bits, Progress, quantize_network
from nas.quantize.trials import Trial, tried
from rtl.errors import ToolError, UserError
from rtl.model import IntegerModel
from rtl.model.shape import BlockShape, NetworkShape

PROVEN_IMAGES = 1
SCORED_IMAGES = 12
WEIGHTS = ("4", "8", "mixed")
DEFAULT_CHOICE = TileChoice()


@dataclass(frozen=True, eq=False)
class Quantization:
    """A quantized network.

    Parameters
    ----------
    model : IntegerModel
    quantized : QuantizedNetwork
        The same in floating point.
    cycles : int
        Exact cycles per image.
    """

    model: IntegerModel
    quantized: QuantizedNetwork
    cycles: int


def quantize(
    network: FloatNetwork,
    images: Tensor,
    hardware: HardwareTarget,
    *,
    weights: str = "8",
    cycles: int | None = None,
    method: Method | None = None,
    choice: TileChoice = DEFAULT_CHOICE,
    host_file: str = "",
    work_folder: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = lambda what, step, steps: None,
) -> Quantization:
    """Quantize a network without training.

    Parameters
    ----------
    network : FloatNetwork
        As imported, in float64.
    images : (images, height, width, channels) uint8
        Calibration images, as the network's preprocessing gives them.
    hardware : HardwareTarget
        Gives the bits of activations, the rows of a tile, and the cycles.
    weights : str
        ``4`` or ``8`` bits in every row of the blocks, or ``mixed``. The patch embedding, the
        classifier, and the matrix behind a LayerNorm in front of the blocks have 8.
    cycles : int, optional
        Most cycles per image, for ``mixed``.
    method : Method, optional
        Without one, the aim of 4-bit rows is tried on images that are left out.
    choice : TileChoice
        Of the tiles that get 8 bits, for ``mixed``.
    host_file : str
        Name of the file for what follows the features, if there is one.
    work_folder : Path, optional
        Finished blocks are kept here until the end: an interrupted run goes on where it was.
    device : torch.device or str
        Where tensors are computed; folds are always proven on the CPU.
    progress : callable

    Raises
    ------
    UserError
        If the engine does not run the network, or the cycles do not suffice.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, not {weights!r}")
    if (weights == "mixed") != (cycles is not None):
        raise ValueError("mixed weights need a number of cycles, and others take none")
    given = replace(method or Method(), act_bits=hardware.engine.act_bits)
    work = _Work(network, images, hardware, given, choice, work_folder, device, progress)
    try:
        result = work.result(weights, cycles, host_file, search=method is None)
    except (UserError, ToolError):  # would come again, from whatever block
        work.clear()
        raise
    work.clear()
    return result


class _Work:
    """Steps of :func:`quantize` with what they share."""

    def __init__(
        self,
        network: FloatNetwork,
        images: Tensor,
        hardware: HardwareTarget,
        method: Method,
        choice: TileChoice,
        work_folder: Path | None,
        device: torch.device | str,
        progress: Progress,
    ) -> None:
        self.hardware, self.method, self.progress = hardware, method, progress
        self.choice, self.work_folder = choice, work_folder
        self.kept: list[KeptBlocks] = []
        self.trials: list[Trial] = []
        self.granularity = hardware.engine.row_lanes
        self.images = images
        self.source = network
        self.cycles_of(four_bits(network, self.granularity))  # refused at once, or never
        progress("folds", 0, 1)
        plain = folded(network, method)
        self.difference = prove(network, plain, images[:PROVEN_IMAGES])
        self.network = converted(plain, torch.float32, device)

    def result(
        self, weights: str, cycles: int | None, host_file: str, *, search: bool
    ) -> Quantization:
        self.progress("statistics", 0, 1)
        seen = statistics(self.network, self.images)
        scores = self.scores() if weights == "mixed" else {}
        orders = [
            unit_order(
                tops,
                table_units(len(tops), self.method, self.granularity),
                scores.get(f"blocks.{index}.fc1"),
            )
            for index, tops in enumerate(seen.hidden_tops)
        ]
        self.network = arranged(self.network, orders)
        for index, order in enumerate(orders):
            if scores:
                scores[f"blocks.{index}.fc1"] = scores[f"blocks.{index}.fc1"][order]
        bits = self.bits(weights, cycles, scores)
        if search and any((rows == 4).any() for rows in bits.values()):
            self.trials = tried(
                self.network,
                self.images,
                self.method,
                lambda images, method: self.quantized(images, seen, method, bits),
            )
            self.method = self.trials[0].method
        quantized = self.quantized(self.images, seen, self.method, bits)
        model = export(
            quantized,
            granularity=self.granularity,
            producer=producer(),
            host_file=host_file,
            info=self.info(weights, cycles),
        )
        return Quantization(model, quantized, self.cycles_of(model.shape))

    def clear(self) -> None:
        """Remove what was kept for a run that goes on where this one was."""
        for kept in self.kept:
            kept.clear()

    def quantized(
        self, images: Tensor, seen: Statistics, method: Method, bits: Bits
    ) -> QuantizedNetwork:
        images, kept = _shuffled(images), None
        if self.work_folder:
            kept = KeptBlocks(self.work_folder, key_of(self.network, images, method, bits))
            self.kept.append(kept)
        return quantize_network(
            self.network,
            images,
            seen,
            method,
            bits,
            granularity=self.granularity,
            kept=kept,
            progress=self.progress,
        )

    def scores(self) -> dict[str, Tensor]:
        self.progress("sensitivity", 0, 1)
        images = _shuffled(self.images)[:SCORED_IMAGES]
        return self.choice.scores(self.network, images, self.method.seed)

    def bits(self, weights: str, cycles: int | None, scores: Mapping[str, Tensor]) -> Bits:
        network, granularity = self.network, self.granularity
        everywhere = {"embed": 8 * torch.ones(network.width, dtype=torch.int64)}
        if network.front is not None:
            everywhere["front"] = everywhere["embed"]
        if network.head is not None:
            everywhere["head"] = 8 * torch.ones(len(network.head.bias), dtype=torch.int64)
        flags = {
            f"blocks.{index}.{layer}": torch.full((len(tiles),), weights == "8")
            for index, block in enumerate(four_bits(network, granularity).blocks)
            for layer, tiles in block.bits8
        }
        if weights == "mixed":
            assert cycles is not None
            self.progress("budget", 0, 1)
            totals, chance = tile_scores(scores, granularity), self.method.chance
            flags |= self.choice.choose(totals, self.mixed_cycles, cycles, chance)
        if network.blocks[-1].pools:  # a constant query has no weights
            flags[f"blocks.{len(network.blocks) - 1}.q"][:] = False
        rows = {name: _rows(network, name) for name in flags}
        found = everywhere | {
            name: rows_of(tiles, rows[name], granularity) for name, tiles in flags.items()
        }
        return {name: part.to(network.position.device) for name, part in found.items()}

    def mixed_cycles(self, flags: Mapping[str, Tensor]) -> int:
        """Exact cycles with 8 bits in these row tiles."""
        shape = four_bits(self.network, self.granularity, self.method)
        blocks = tuple(
            replace(
                block,
                bits8=tuple(
                    (layer, tuple(chosen.tolist()) if chosen is not None else tiles)
                    for layer, tiles in block.bits8
                    for chosen in (flags.get(f"blocks.{index}.{layer}"),)
                ),
            )
            for index, block in enumerate(shape.blocks)
        )
        return self.cycles_of(replace(shape, blocks=blocks))

    def cycles_of(self, shape: NetworkShape) -> int:
        return self.hardware.cycles(self.hardware.compile(shape))

    def info(self, weights: str, cycles: int | None) -> dict[str, Any]:
        return {
            "source": self.source.source,
            "method": asdict(self.method),
            "weights": weights,
            "cycles": cycles,
            "images": len(self.images),
            "trials": [
                {
                    "least_squares": trial.method.least_squares,
                    "error": round(trial.error, 5),
                }
                for trial in self.trials
            ],
            "fold_difference": self.difference,
        }


def four_bits(
    network: FloatNetwork, granularity: int, method: Method | None = None
) -> NetworkShape:
    """Return the shape of a network whose blocks have 4-bit rows alone.

    Parameters
    ----------
    network : FloatNetwork
    granularity : int
        Rows of a row tile.
    method : Method, optional
        Says where there are two GELU tables; one each, otherwise.
    """
    shape = network.sizes.with_row_tiles(granularity)

    def block(of: BlockShape) -> BlockShape:
        units = table_units(of.hidden, method, granularity) if method else ()
        return replace(of, first_table_units=units[0] if len(units) == 2 else None)

    return replace(
        shape,
        blocks=tuple(map(block, shape.blocks)),
        embed_bits8=(True,) * len(shape.embed_bits8),
        head_bits8=(True,) * len(shape.head_bits8),
    )


def _rows(network: FloatNetwork, name: str) -> int:
    _, index, layer = name.split(".")
    return len(getattr(network.blocks[int(index)], layer).bias)


def _shuffled(images: Tensor) -> Tensor:
    """Shuffle images, always alike: the first ones are to be of every kind."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
