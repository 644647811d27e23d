"""From a float network and calibration images to a quantized network."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nas.importer.forward import embed, layer_norm, linear
from nas.importer.network import Affine, FloatNetwork
from nas.numerics.reshape import patches_of
from nas.quantize import scales
from nas.quantize.arrange import CHUNK_IMAGES, Statistics, table_units
from nas.quantize.block import BlockQuantizer, round_layer
from nas.quantize.codes import Code, NetworkCodes
from nas.quantize.kept import KeptBlocks
from nas.quantize.method import Method
from nas.quantize.moments import MomentSums
from nas.quantize.network import QuantizedNetwork
from nas.quantize.rounding import Rows
from rtl.model.shape import LAYERS

HEADROOM = 1.25
"""Largest residual that is expected of other images, relative to the calibration images'."""
LOGIT_HEADROOM = 2.0
"""Likewise of logits, whose 16 bits are more than enough."""

Bits = Mapping[str, Tensor]
"""Weight bits of each row, (rows,) int64, by the layer's full name (``blocks.0.q``)."""

Progress = Callable[[str, int, int], None]
"""Is told what is being done, which step, and of how many."""


@torch.no_grad()
def quantize_network(
    network: FloatNetwork,
    images: Tensor,
    seen: Statistics,
    method: Method,
    bits: Bits,
    *,
    granularity: int,
    kept: KeptBlocks | None = None,
    progress: Progress = lambda what, step, steps: None,
) -> QuantizedNetwork:
    """Choose all codes and round all weights, from the pixels to the end.

    Parameters
    ----------
    network : FloatNetwork
        Folded, float32, its hidden units in the order of their tables.
    images : (images, height, width, channels) uint8
    seen : Statistics
        Of the network on these images.
    method : Method
    bits : mapping
    granularity : int
        Rows of a row tile.
    kept : KeptBlocks, optional
        Where blocks are read from, if they were quantized before, and written to.
    progress : callable
    """
    headroom = torch.full((network.width,), seen.residual_top * HEADROOM)
    residual = scales.symmetric(headroom.to(network.position), 16)
    chunks = images.split(CHUNK_IMAGES)
    exact = [embed(network, chunk) for chunk in chunks]
    rows: dict[str, Rows] = {}
    network, rows["embed"] = _embedding(network, chunks, bits["embed"], method)
    stream = [residual(embed(network, chunk)) for chunk in chunks]
    blocks, codes = [], []
    for index, block in enumerate(network.blocks):
        progress("blocks", index, len(network.blocks))
        units = table_units(block.hidden, method, granularity)
        block_bits = {name: bits[f"blocks.{index}.{name}"] for name in LAYERS}
        work = BlockQuantizer(
            block, network.head_dim, exact, stream, residual, block_bits, units, method
        )
        done = kept.load(index, block) if kept else None
        if done is not None:
            work.replay(done)
        else:
            done = work.quantize()
            if kept:
                kept.save(index, done)
        exact, stream = work.exact, work.stream
        blocks.append(done.block)
        codes.append(done.codes)
        rows |= {f"blocks.{index}.{name}": part for name, part in done.rows.items()}
    network = replace(network, blocks=tuple(blocks))
    all_codes = NetworkCodes(method.act_bits, residual, tuple(codes))
    if network.head is not None:
        network, ends, rows["head"] = _classifier(network, exact, stream, bits["head"], method)
        all_codes = replace(all_codes, **ends)
    return QuantizedNetwork(network, all_codes, rows)


def _embedding(
    network: FloatNetwork, chunks: tuple[Tensor, ...], bits: Tensor, method: Method
) -> tuple[FloatNetwork, Rows]:
    """Round the patch embedding; its inputs are pixels as they are."""
    sums = MomentSums()
    for chunk in chunks:
        pixels = patches_of(chunk, network.patch).to(network.position)
        sums.add(pixels, linear(network.embed, pixels))
    scale = torch.ones(network.embed.weight.shape[1]).to(network.position)
    rows, bias = round_layer(network.embed, bits, sums.moments(), scale, method)
    return replace(network, embed=Affine(rows.weight, bias)), rows


def _classifier(
    network: FloatNetwork, exact: list[Tensor], stream: list[Tensor], bits: Tensor, method: Method
) -> tuple[FloatNetwork, dict[str, Code], Rows]:
    """Choose the codes behind the last block, and round the classifier."""
    assert network.head is not None
    mean = network.pool == "mean"
    final = slice(network.patches) if mean else slice(-1, None)
    normal = torch.cat([layer_norm(network.norm, chunk[:, final]) for chunk in stream])
    share = torch.ones(normal.shape[0] * normal.shape[1]).to(normal)
    importance = network.head.weight.square().sum(0)
    norm = scales.best_symmetric(normal.flatten(0, 1), method.act_bits, share, importance)
    codes, inputs = {"norm": norm}, norm(normal)
    if mean:
        inputs = inputs.mean(1, keepdim=True)
        codes["pool"] = scales.per_group(inputs.flatten(0, 1), 1, method.act_bits)
        inputs = codes["pool"](inputs)
    exact_inputs = torch.cat([layer_norm(network.norm, chunk[:, final]) for chunk in exact])
    aim = linear(network.head, exact_inputs.mean(1, keepdim=True))
    sums = MomentSums(cross=method.least_squares)
    sums.add(inputs, aim)
    scale = (codes["pool"] if mean else norm).scale
    rows, bias = round_layer(network.head, bits, sums.moments(), scale, method)
    top = aim.abs().amax() * LOGIT_HEADROOM
    codes["logits"] = scales.symmetric(top.expand(len(bits)), 16)
    return replace(network, head=Affine(rows.weight / scale, bias)), codes, rows
