"""Sensitivity of rows: the order of rows and tiles in which 8 bits are given.

Computed once, at full size, after the float stage and before elasticity; then frozen.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nas.data import Images, ImageSet
from nas.numerics.codes import round_half_up
from nas.space import Arch
from nas.supernet.layers import ElasticLinear
from nas.supernet.permutation import Permutation, PermutationBuilder
from nas.supernet.portions import kept_images
from nas.supernet.steps import best_step
from nas.supernet.supernet import Supernet
from rtl.model import numerics


def row_sensitivity(
    net: Supernet, images: Images, arch: Arch | None = None, batch: int = 32
) -> dict[str, Tensor]:
    """Expected loss from giving a row 4 bits rather than 8: Fisher x noise, summed over the row.

    Parameters
    ----------
    net : Supernet
        Trained in float mode.
    images : Images
        Training images, as they are; a few hundred suffice.
    arch : Arch, optional
        The subnet whose loss it is; by default the largest. Rows that it does not have count 0.
    batch : int

    Returns
    -------
    dict of str to Tensor
        Per matrix (``embed``, ``blocks.i.q`` ..., ``head``) (rows,) float32, on the CPU.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, ElasticLinear)}
    weights = [layer.weight for layer in layers.values()]
    fisher = [torch.zeros_like(weight) for weight in weights]
    arch = arch or net.config.space.largest()
    for part in images.batches(batch):
        gradients = _gradients(net, part, arch, weights)
        for total, gradient in zip(fisher, gradients, strict=True):
            total += gradient.square()
    result = {}
    for name, weight, total in zip(layers, weights, fisher, strict=True):
        narrow, bits8 = (_noise(weight.detach(), bits) for bits in numerics.WEIGHT_BITS)
        result[name] = (total * (narrow - bits8)).sum(1).clamp(min=0).cpu()
    return result


def _gradients(
    net: Supernet, batch: ImageSet, arch: Arch, weights: Sequence[Tensor]
) -> Sequence[Tensor]:
    """Gradients of a batch's mean loss, as many images at a time as memory should hold."""
    sums: Sequence[Tensor] = ()
    for part in batch.batches(kept_images(net.shape(arch), len(batch))):
        logits = net(part.pixels, arch)
        loss = functional.cross_entropy(logits, part.labels.to(logits.device))
        loss = loss * (len(part) / len(batch))
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
        sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else gradients
    return sums


def row_permutation(net: Supernet, sensitivity: Mapping[str, Tensor]) -> Permutation:
    """Gather sensitive rows where a reordering leaves the network's function unchanged.

    fc1's hidden units with fc2's columns; within a head, V's rows with proj's columns, and Q's
    rows with K's. Rows that write the residual stream, and whole heads, keep their places. Where a
    row tile holds whole heads, as in the digits' space, the order within a head changes no tile.
    """
    moves, head_dim = PermutationBuilder(net), net.config.space.head_dim
    for i in range(len(net.blocks)):
        block = f"blocks.{i}."
        hidden = sensitivity[block + "fc1"].argsort(descending=True, stable=True)
        moves.rows(block + "fc1", hidden)
        moves.columns(block + "fc2", hidden)
        values = _within_heads(sensitivity[block + "v"], head_dim)
        moves.rows(block + "v", values)
        moves.columns(block + "proj", values)
        keys = _within_heads(sensitivity[block + "q"] + sensitivity[block + "k"], head_dim)
        moves.rows(block + "q", keys)
        moves.rows(block + "k", keys)
    return moves.permutation


def tile_order(
    sensitivity: Mapping[str, Tensor], permutation: Permutation, granularity: int
) -> dict[str, list[int]]:
    """Rank the row tiles of the reordered matrices, most sensitive first."""
    result = {}
    for name, rows in sensitivity.items():
        for axis, order in permutation.get(f"{name}.weight", []):
            if axis == 0:
                rows = rows[order]
        tiles = torch.stack([tile.sum() for tile in rows.split(granularity)])
        result[name] = tiles.argsort(descending=True, stable=True).tolist()
    return result


def _noise(weight: Tensor, bits: int) -> Tensor:
    """Squared error of each weight at ``bits``: the shape of ``weight``."""
    low, high = numerics.code_range(bits, signed=True)
    step = best_step(weight, low, high).unsqueeze(1)
    return (round_half_up(weight / step).clamp(low, high) * step - weight).square()


def _within_heads(rows: Tensor, head_dim: int) -> Tensor:
    """Order that sorts each head's rows, most sensitive first: (rows,) int64."""
    order = rows.view(-1, head_dim).argsort(dim=1, descending=True, stable=True)
    starts = torch.arange(0, rows.shape[0], head_dim, device=rows.device).unsqueeze(1)
    return (order + starts).flatten()
