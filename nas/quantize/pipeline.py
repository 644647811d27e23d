"""From a float network and calibration images to a quantized network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nas.importer.forward import embed, layer_norm, linear, run_front
from nas.importer.network import Affine, FloatFront, FloatNetwork
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
from nas.quantize.scales import Quantizers
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
    quantizers: Sequence[Quantizers] | None = None,
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
    quantizers : sequence of Quantizers, optional
        Of each block; the default ones otherwise.
    progress : callable
    """
    if not network.others or network.pool in ("mean", "attention"):  # no class token is read
        method = replace(method, class_share=0.0)
    residual = _stream_code(network, seen.residual_top)
    all_codes = NetworkCodes(method.act_bits, residual, ())
    if network.front is not None:
        all_codes = replace(all_codes, front=_stream_code(network, seen.front_top))
    if network.blocks[-1].pools:
        all_codes = replace(all_codes, pooled=_stream_code(network, seen.pooled_top))
    chunks = images.split(CHUNK_IMAGES)
    exact = [embed(network, chunk) for chunk in chunks]
    rows: dict[str, Rows] = {}
    network, rows["embed"] = _embedding(network, chunks, bits["embed"], method)
    stream = [all_codes.start(embed(network, chunk)) for chunk in chunks]
    if network.front is not None:
        front, norm, rows["front"] = _front(network.front, exact, stream, bits["front"], method)
        exact = [run_front(network.front, chunk) for chunk in exact]
        network, all_codes = replace(network, front=front), replace(all_codes, front_norm=norm)
        stream = [run_front(front, chunk, all_codes.tap()) for chunk in stream]
    blocks, codes = [], []
    for index, block in enumerate(network.blocks):
        progress("blocks", index, len(network.blocks))
        units = table_units(block.hidden, method, granularity)
        block_bits = {name: bits[f"blocks.{index}.{name}"] for name in LAYERS}
        written = all_codes.end if block.pools else residual
        chosen = quantizers[index] if quantizers else scales.DEFAULT_QUANTIZERS
        work = BlockQuantizer(
            block,
            network.head_dim,
            exact,
            stream,
            written,
            block_bits,
            units,
            method,
            chosen,
            network.others,
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
    all_codes = replace(all_codes, blocks=tuple(codes))
    if network.head is not None:
        network, ends, rows["head"] = _classifier(network, exact, stream, bits["head"], method)
        all_codes = replace(all_codes, **ends)
    return QuantizedNetwork(network, all_codes, rows)


def _stream_code(network: FloatNetwork, top: float) -> Code:
    """Return the code of a residual stream whose largest magnitude is ``top``."""
    return scales.symmetric(torch.full((network.width,), top * HEADROOM).to(network.position), 16)


def _front(
    front: FloatFront, exact: list[Tensor], stream: list[Tensor], bits: Tensor, method: Method
) -> tuple[FloatFront, Code, Rows]:
    """Choose the code of a LayerNorm in front of the blocks, and round the matrix behind it."""
    assert front.layer is not None
    normal = [layer_norm(front.norm, chunk) for chunk in stream]
    sample = torch.cat(normal)[: method.samples]
    share = scales.token_shares(len(sample), sample.shape[1], method.class_share).to(sample)
    importance = front.layer.weight.square().sum(0)
    code = scales.best_symmetric(sample.flatten(0, 1), method.act_bits, share, importance)
    sums = MomentSums(method.class_share, cross=method.least_squares)
    for inputs, chunk in zip(normal, exact, strict=True):
        sums.add(code(inputs), run_front(front, chunk))
    rows, bias = round_layer(front.layer, bits, sums.moments(), code.scale, method)
    return replace(front, layer=Affine(rows.weight / code.scale, bias)), code, rows


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
    assert network.head is not None and network.norm is not None
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
