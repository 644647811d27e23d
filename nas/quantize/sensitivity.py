"""Scores of weight rows: how much the end result suffers where a row has 4 bits.

A row's rounding error changes its results by δ at every token. To first order, the final tokens
change by the Jacobian times δ. Its squared length is estimated with random signs v of the final
tokens: E (v · J δ)², where v · J comes from one backward pass for all rows together (Gauss-Newton).
A score of a row by itself, noise times input power, starves the last blocks and is worse than
chance.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.importer.forward import forward, output
from nas.importer.network import Affine, FloatNetwork
from nas.quantize.block import INPUT_OF
from nas.quantize.moments import MomentSums
from nas.quantize.rounding import compensated
from rtl.model.shape import LAYERS

RESULT_OF = {"proj": "attended", "fc2": "output"}
"""The tensor that a layer's result is added to; of the others, it has the layer's name."""


def row_scores(
    network: FloatNetwork, images: Tensor, *, probes: int = 4, seed: int = 0
) -> dict[str, Tensor]:
    """Score the rows of all blocks' layers.

    Parameters
    ----------
    network : FloatNetwork
        Folded, float32.
    images : (images, height, width, channels) uint8
    probes : int
        Random directions per image.
    seed : int

    Returns
    -------
    dict of str to (rows,)
        By the layer's full name: the squared change of the final tokens or logits, relative to
        their own squared length, that 4-bit codes cause.
    """
    inputs, length = _inputs(network, images)
    errors = {name: _rounding_error(network, name, inputs[name]) for name in inputs}
    scores = {name: error.new_zeros(len(error)) for name, error in errors.items()}
    generator = torch.Generator().manual_seed(seed)
    for number, image in enumerate(images):
        for name, gradient in _gradients(network, image[None], probes, generator):
            x = inputs[name][number] - inputs[name].mean((0, 1))
            change = x @ errors[name].T  # (tokens, rows): a bias makes up for the mean
            scores[name] += (gradient[0] * change).sum(0).square()
    return {name: score.cpu() / (probes * length) for name, score in scores.items()}


@torch.no_grad()
def _inputs(network: FloatNetwork, images: Tensor) -> tuple[dict[str, Tensor], float]:
    """Inputs of each layer, (images, tokens, depth), and the squared length of all results."""
    found: dict[str, Tensor] = {}

    def keep(name: str, tensor: Tensor) -> Tensor:
        found[name] = tensor
        return tensor

    result = output(network, forward(network, images, keep))
    names = {
        f"blocks.{index}.{layer}": found[f"blocks.{index}.{source}"]
        for index in range(len(network.blocks))
        for layer, source in INPUT_OF.items()
    }
    return names, float(result.square().sum())


def _rounding_error(network: FloatNetwork, name: str, inputs: Tensor) -> Tensor:
    """Error that 4-bit rounding with compensation adds to a layer's weight: (rows, depth)."""
    layer = _layer(network, name)
    sums = MomentSums(cross=False)
    sums.add(inputs, inputs[..., :1])
    moments = sums.moments().inputs.to(layer.weight)
    bits = torch.full((len(layer.weight),), 4, device=layer.weight.device)
    return compensated(layer.weight, bits, moments).weight - layer.weight


def _gradients(
    network: FloatNetwork, image: Tensor, probes: int, generator: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    """Gradients (1, tokens, rows) of each layer's results, for random directions of the output."""
    results: dict[str, Tensor] = {}

    def watch(name: str, tensor: Tensor) -> Tensor:
        if not tensor.requires_grad:
            tensor.requires_grad_()
        results[name] = tensor
        return tensor

    with torch.enable_grad():
        final = output(network, forward(network, image, watch))
        names = [
            (f"blocks.{index}.{layer}", results[f"blocks.{index}.{RESULT_OF.get(layer, layer)}"])
            for index in range(len(network.blocks))
            for layer in LAYERS
        ]
        for _ in range(probes):
            signs = torch.randint(0, 2, final.shape, generator=generator).to(final) * 2 - 1
            gradients = torch.autograd.grad(
                final, [tensor for _, tensor in names], signs, retain_graph=True
            )
            yield from zip((name for name, _ in names), gradients, strict=True)


def _layer(network: FloatNetwork, name: str) -> Affine:
    _, index, layer = name.split(".")
    return getattr(network.blocks[int(index)], layer)
