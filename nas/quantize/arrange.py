"""From a network as it was imported to one that is ready to be quantized.

Folds, and the order of the hidden units: those with the widest ranges come last and share the
second GELU table; within each table's units, sensitive ones are gathered in row tiles.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.importer.forward import forward, output
from nas.importer.network import Affine, FloatBlock, FloatNetwork
from nas.quantize import fold
from nas.quantize.method import Method
from nas.quantize.rebuild import ROTATION
from rtl.errors import ToolError

CHUNK_IMAGES = 8
FOLD_TOLERANCE = 1e-9
"""Largest relative change of a result by the folds, in float64."""


def folded(network: FloatNetwork, method: Method) -> FloatNetwork:
    """Apply the folds that need no images; the network's ``source`` says how it was rotated."""
    network = fold.absorb_scales(fold.absorb_norms(fold.absorb_pixels(network)))
    if method.rotate:
        network = fold.rotate_stream(network, fold.random_rotation(network.width, method.seed))
        network = fold.rotate_heads(network)
        if network.front is not None:
            another = fold.random_rotation(network.width, method.seed + 1)
            network = fold.rotate_front(network, another)
    rotation = {ROTATION: method.seed if method.rotate else None}
    return replace(network, source=network.source | rotation)


def prove(network: FloatNetwork, other: FloatNetwork, images: Tensor) -> float:
    """Compare the results of a network before and after the folds, in float64.

    Returns
    -------
    float
        The largest difference, relative to the largest result.

    Raises
    ------
    ToolError
        If it is above :data:`FOLD_TOLERANCE`.
    """

    difference = fold.largest_difference(network, other, lambda of: output(of, forward(of, images)))
    if not difference <= FOLD_TOLERANCE:
        raise ToolError(f"folds change the network's results by {difference:.1e} of the largest")
    return difference


@dataclass(frozen=True, eq=False)
class Statistics:
    """Ranges of the float network's tensors on the calibration images.

    Parameters
    ----------
    residual_top : float
        Largest magnitude in the residual stream.
    hidden_tops : tuple of (hidden,)
        Largest value of each hidden unit of each block.
    front_top : float
        Largest magnitude in front of a LayerNorm in front of the blocks; 0 without one.
    pooled_top : float
        Largest magnitude in the stream of a block that pools; 0 without one.
    """

    residual_top: float
    hidden_tops: tuple[Tensor, ...]
    front_top: float = 0.0
    pooled_top: float = 0.0


def statistics(network: FloatNetwork, images: Tensor) -> Statistics:
    """Run the float network over the images, chunk by chunk."""
    tops = {"residual": 0.0, "front": 0.0, "pooled": 0.0}
    hidden: dict[str, Tensor] = {}
    pooling = f"blocks.{len(network.blocks) - 1}." if network.blocks[-1].pools else None

    def look(name: str, tensor: Tensor) -> Tensor:
        within = name.rpartition(".")[2]
        if within in ("embed", "front", "attended", "output"):
            stream = "front" if within == "embed" and network.front else "residual"
            stream = "pooled" if pooling and name.startswith(pooling) else stream
            tops[stream] = max(tops[stream], float(tensor.abs().amax()))
        elif within == "hidden":
            units = tensor.flatten(0, 1).amax(0).cpu()
            hidden[name] = torch.maximum(hidden[name], units) if name in hidden else units
        return tensor

    for chunk in images.split(CHUNK_IMAGES):
        forward(network, chunk, look)
    return Statistics(tops["residual"], tuple(hidden.values()), tops["front"], tops["pooled"])


def arranged(network: FloatNetwork, orders: list[Tensor]) -> FloatNetwork:
    """Permute the hidden units of each block."""
    pairs = zip(network.blocks, orders, strict=True)
    return replace(network, blocks=tuple(with_sorted_units(block, order) for block, order in pairs))


def with_sorted_units(block: FloatBlock, order: Tensor) -> FloatBlock:
    """Permute a block's hidden units."""
    fc1, fc2 = block.fc1, block.fc2
    return replace(
        block,
        fc1=Affine(fc1.weight[order], fc1.bias[order]),
        fc2=Affine(fc2.weight[:, order], fc2.bias),
    )


def unit_order(tops: Tensor, units: tuple[int, ...], scores: Tensor | None = None) -> Tensor:
    """Order hidden units: by range between tables, by score within them.

    Parameters
    ----------
    tops : (hidden,)
        Largest value of each unit.
    units : tuple of int
        Units of each table.
    scores : (hidden,), optional
        Loss where a unit's row has 4 bits; the most sensitive one comes first.
    """
    parts = tops.argsort(stable=True).split(units)
    if scores is None:
        return torch.cat(parts)
    return torch.cat([part[scores[part].argsort(descending=True, stable=True)] for part in parts])


def table_units(hidden: int, method: Method, granularity: int) -> tuple[int, ...]:
    """Hidden units of each GELU table: whole row tiles."""
    second = max(granularity, round(hidden * method.second_share / granularity) * granularity)
    first = (hidden - second) // granularity * granularity
    return (first, hidden - first) if method.tables == 2 and first > 0 else (hidden,)
