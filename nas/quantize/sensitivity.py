"""Scores of weight rows: how much the end result suffers where a row has 4 bits.

A row's rounding error changes its results by δ at every token. To first order, the final tokens
change by the Jacobian times δ. Its squared length is estimated with random signs v of the final
tokens: E (v · J δ)², where v · J comes from one backward pass for all rows together (Gauss-Newton).
A score of a row by itself, noise times input power, starves the last blocks and is worse than
chance.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from nas.importer.forward import forward, output
from nas.importer.network import Affine, FloatNetwork
from nas.importer.selection import gathered, noting, on_tokens
from nas.quantize.block import INPUT_OF
from nas.quantize.moments import MomentSums
from nas.quantize.rounding import compensated
from rtl.model.shape import LAYERS

RESULT_OF = {"proj": "attended", "fc2": "output"}
"""The tensor that a layer's result is added to; of the others, it has the layer's name."""

PROBES = 4
"""Random directions per image."""

Directions = Callable[[int, Tensor], Sequence[Tensor]]
"""Called with the number of an image and its final tokens or logits, (1, ...). Returns directions
of the same shape: the squares of a change along each add up to what it counts."""


def random_signs(seed: int = 0, probes: int = PROBES) -> Directions:
    """Make ``probes`` directions per image, so that a change counts its squared length."""
    generator = torch.Generator().manual_seed(seed)

    def draw(number: int, final: Tensor) -> list[Tensor]:
        draws = (torch.randint(0, 2, final.shape, generator=generator) for _ in range(probes))
        return [(each.to(final) * 2 - 1) / probes**0.5 for each in draws]

    return draw


def row_scores(
    network: FloatNetwork, images: Tensor, seed: int = 0, *, directions: Directions | None = None
) -> dict[str, Tensor]:
    """Score the rows of all blocks' layers.

    Parameters
    ----------
    network : FloatNetwork
        Folded, float32.
    images : (images, height, width, channels) uint8
    seed : int
        Of the directions, if there are none given.
    directions : callable, optional
        By default :func:`random_signs`.

    Returns
    -------
    dict of str to (rows,)
        By the layer's full name, but for constant queries: the squared change of the final tokens
        or logits, relative to their own squared length, that 4-bit codes cause; or what it counts
        by the directions.
    """
    directions = directions or random_signs(seed)
    inputs, kept, length = layer_inputs(network, images)
    errors = {name: rounding_error(network, name, inputs[name]) for name in inputs}
    scores = {name: error.new_zeros(len(error)) for name, error in errors.items()}
    for number, image in enumerate(images):
        own = {name: indices[number : number + 1] for name, indices in kept.items()}
        for name, gradient in _gradients(network, image[None], partial(directions, number), own):
            x = inputs[name][number] - inputs[name].mean((0, 1))
            change = x @ errors[name].T  # (tokens, rows): a bias makes up for the mean
            scores[name] += (gradient[0] * change).sum(0).square()
    return {name: score.cpu() / length for name, score in scores.items()}


@torch.no_grad()
def layer_inputs(
    network: FloatNetwork, images: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """Run a network.

    Returns
    -------
    dict of str to (images, tokens, depth)
        Inputs of each layer; of the projection, those of the tokens that stay.
    dict of str to (images, tokens)
        Tokens that stay, as :func:`nas.importer.selection.on_tokens` takes them.
    float
        Squared length of all results.
    """
    found: dict[str, Tensor] = {}
    kept: dict[str, Tensor] = {}

    def keep(name: str, tensor: Tensor) -> Tensor:
        found[name] = tensor
        return tensor

    result = output(network, forward(network, images, noting(kept, keep)))
    names = {
        f"blocks.{index}.{layer}": found[f"blocks.{index}.{source}"]
        for index, block in enumerate(network.blocks)
        for layer, source in INPUT_OF.items()
        if layer != "q" or not block.pools
    }
    for name, indices in kept.items():
        projection = name.replace(".kept", ".proj")
        names[projection] = gathered(names[projection], indices)
    return names, kept, float(result.square().sum())


def rounding_error(network: FloatNetwork, name: str, inputs: Tensor) -> Tensor:
    """Compute the error of a layer's weight, (rows, depth), at 4 bits with compensation."""
    layer = _layer(network, name)
    sums = MomentSums(cross=False)
    sums.add(inputs, inputs[..., :1])
    moments = sums.moments().inputs.to(layer.weight)
    bits = torch.full((len(layer.weight),), 4, device=layer.weight.device)
    return compensated(layer.weight, bits, moments).weight - layer.weight


def _gradients(
    network: FloatNetwork,
    image: Tensor,
    directions: Callable[[Tensor], Sequence[Tensor]],
    kept: dict[str, Tensor],
) -> Iterator[tuple[str, Tensor]]:
    """Gradients (1, tokens, rows) of each layer's results, for each direction of the output."""
    results: dict[str, Tensor] = {}

    def watch(name: str, tensor: Tensor) -> Tensor:
        if not tensor.requires_grad:
            tensor.requires_grad_()
        results[name] = tensor
        return tensor

    with torch.enable_grad():
        final = output(network, forward(network, image, on_tokens(kept, watch)))
        names = [
            (f"blocks.{index}.{layer}", results[f"blocks.{index}.{RESULT_OF.get(layer, layer)}"])
            for index, block in enumerate(network.blocks)
            for layer in LAYERS
            if layer != "q" or not block.pools
        ]
        for direction in directions(final.detach()):
            gradients = torch.autograd.grad(
                final, [tensor for _, tensor in names], direction, retain_graph=True
            )
            yield from zip((name for name, _ in names), gradients, strict=True)


def _layer(network: FloatNetwork, name: str) -> Affine:
    _, index, layer = name.split(".")
    return getattr(network.blocks[int(index)], layer)
