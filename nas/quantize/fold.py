"""Exact rewritings of a float network that cost the engine nothing.

Each function returns another network that computes the same features or logits, in real numbers;
what becomes easier is to quantize it. In the order in which they are applied:

1. :func:`absorb_pixels`, :func:`absorb_norms`, :func:`absorb_scales`: mean and standard deviation
   of the pixels, weight and bias of each LayerNorm, and layer scaling (of either sign) go into the
   matrices next to them.
2. :func:`centre_keys`, :func:`centre_values`: the mean of a key changes no softmax, and the mean of
   a value is in the context as it is, so the bias of the projection can add it.
3. :func:`rotate_stream`: an orthogonal Q with Q·1 = 1 commutes with a LayerNorm without weight and
   bias, so the residual stream may be Q times what it was. Outlier channels are spread out.
   :func:`rotate_front` does the same for the stream in front of a LayerNorm in front of the blocks.
4. :func:`rotate_heads`: the same for queries with keys, and for values with the projection.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from nas.importer.network import Affine, FloatBlock, FloatFront, FloatNetwork, LayerNorm


def absorb_pixels(network: FloatNetwork) -> FloatNetwork:
    """Let the patch embedding take pixels 0 ... 255 as they are."""
    size = network.patch**2
    mean, std = network.mean.repeat(size), network.std.repeat(size)
    weight = network.embed.weight / (255 * std)
    bias = network.embed.bias - network.embed.weight @ (mean / std)
    return replace(
        network,
        mean=torch.zeros_like(network.mean),
        std=torch.full_like(network.std, 1 / 255),
        embed=Affine(weight, bias),
    )


def absorb_norms(network: FloatNetwork) -> FloatNetwork:
    """Move weight and bias of every LayerNorm into the matrix behind it.

    Those of the final one go into the classifier, or into ``features``; those of one in front of
    the blocks into a matrix of its own.
    """

    def block(old: FloatBlock) -> FloatBlock:
        q, k, v = (_behind(getattr(old, name), old.norm1) for name in ("q", "k", "v"))
        return replace(
            old,
            norm1=_plain(old.norm1),
            q=q,
            k=k,
            v=v,
            norm2=_plain(old.norm2),
            fc1=_behind(old.fc1, old.norm2),
        )

    identity = Affine(torch.eye(network.width).to(network.position), network.embed.bias * 0)
    network = replace(network, blocks=tuple(map(block, network.blocks)))
    if (front := network.front) is not None:
        layer = _behind(front.layer or identity, front.norm)
        network = replace(network, front=FloatFront(_plain(front.norm), layer))
    if (norm := network.norm) is None:
        return replace(network, features=network.features or identity)
    if network.head is not None:
        return replace(network, norm=_plain(norm), head=_behind(network.head, norm))
    features = _behind(network.features or identity, norm)
    return replace(network, norm=_plain(norm), features=features)


def absorb_scales(network: FloatNetwork) -> FloatNetwork:
    """Move layer scaling, with its sign, into the rows of the projection and of fc2."""

    def block(old: FloatBlock) -> FloatBlock:
        return replace(
            old,
            proj=_scaled(old.proj, old.scale1),
            scale1=torch.ones_like(old.scale1),
            fc2=_scaled(old.fc2, old.scale2),
            scale2=torch.ones_like(old.scale2),
        )

    return replace(network, blocks=tuple(map(block, network.blocks)))


def centre_keys(block: FloatBlock, mean: Tensor) -> FloatBlock:
    """Subtract ``mean``, (heads * head_dim,), from every key."""
    return replace(block, k=Affine(block.k.weight, block.k.bias - mean))


def centre_values(block: FloatBlock, mean: Tensor) -> FloatBlock:
    """Subtract ``mean``, (heads * head_dim,), from every value; the projection's bias adds it."""
    return replace(
        block,
        v=Affine(block.v.weight, block.v.bias - mean),
        proj=Affine(block.proj.weight, block.proj.bias + block.proj.weight @ mean),
    )


def rotate_stream(network: FloatNetwork, rotation: Tensor) -> FloatNetwork:
    """Multiply the residual stream by ``rotation``, (width, width), which keeps the vector of ones.

    Norms, pixels and scales must have been absorbed.
    """

    def block(old: FloatBlock) -> FloatBlock:
        return replace(
            old,
            q=_columns(old.q, rotation),
            k=_columns(old.k, rotation),
            v=_columns(old.v, rotation),
            proj=_rows(old.proj, rotation),
            fc1=_columns(old.fc1, rotation),
            fc2=_rows(old.fc2, rotation),
        )

    network = replace(
        network,
        blocks=tuple(map(block, network.blocks)),
        head=network.head and _columns(network.head, rotation),
        features=network.features and _columns(network.features, rotation),
    )
    if (front := network.front) is None:
        return _rotated_start(network, rotation)
    assert front.layer is not None
    return replace(network, front=replace(front, layer=_rows(front.layer, rotation)))


def rotate_front(network: FloatNetwork, rotation: Tensor) -> FloatNetwork:
    """Multiply the stream in front of the first LayerNorm by ``rotation``, likewise."""
    front = network.front
    assert front is not None and front.layer is not None
    layer = _columns(front.layer, rotation)
    return _rotated_start(replace(network, front=replace(front, layer=layer)), rotation)


def _rotated_start(network: FloatNetwork, rotation: Tensor) -> FloatNetwork:
    """Rotate what the stream begins with."""
    position = network.position @ rotation.T
    return replace(network, embed=_rows(network.embed, rotation), position=position)


def rotate_heads(network: FloatNetwork) -> FloatNetwork:
    """Spread each head's queries and keys, and its values, over its dimensions."""
    small = torch.from_numpy(spread(network.head_dim)).to(network.position)

    def block(old: FloatBlock) -> FloatBlock:
        rotation = torch.block_diag(*[small] * old.heads)
        q, k, v = (_rows(getattr(old, name), rotation) for name in ("q", "k", "v"))
        return replace(old, q=q, k=k, v=v, proj=_columns(old.proj, rotation))

    return replace(network, blocks=tuple(map(block, network.blocks)))


def random_rotation(width: int, seed: int) -> Tensor:
    """Draw an orthogonal matrix that keeps the vector of ones: (width, width) float64."""
    rng = np.random.default_rng(seed)
    inner, triangle = np.linalg.qr(rng.standard_normal((width - 1, width - 1)))
    inner *= np.sign(np.diag(triangle))  # uniform over all rotations
    ones = np.full((width, 1), width**-0.5)
    basis = np.linalg.svd(ones, full_matrices=True)[0][:, 1:]  # of what is orthogonal to ones
    return torch.from_numpy(ones @ ones.T + basis @ inner @ basis.T)


@cache
def spread(size: int) -> np.ndarray:
    """Return an orthogonal matrix whose entries are all alike: (size, size) float64.

    Hadamard's where the size is a power of two, else the discrete Hartley transform.
    """
    if size & (size - 1) == 0:
        return scipy.linalg.hadamard(size) / size**0.5
    angles = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    return (np.cos(angles) + np.sin(angles)) / size**0.5


def largest_difference(
    one: FloatNetwork, other: FloatNetwork, compute: Callable[[FloatNetwork], Tensor]
) -> float:
    """Return the largest difference of two networks' results, relative to the largest result.

    This is how a fold is proven on the weights at hand.
    """
    expected = compute(one)
    return float((compute(other) - expected).abs().max() / expected.abs().max())


def _plain(norm: LayerNorm) -> LayerNorm:
    return replace(norm, weight=torch.ones_like(norm.weight), bias=torch.zeros_like(norm.bias))


def _behind(layer: Affine, norm: LayerNorm) -> Affine:
    """Absorb a LayerNorm's weight and bias."""
    if not layer.weight.shape[1]:  # a constant query
        return layer
    return Affine(layer.weight * norm.weight, layer.bias + layer.weight @ norm.bias)


def _scaled(layer: Affine, scale: Tensor) -> Affine:
    return Affine(layer.weight * scale[:, None], layer.bias * scale)


def _rows(layer: Affine, rotation: Tensor) -> Affine:
    """Rotate a layer's result."""
    return Affine(rotation @ layer.weight, rotation @ layer.bias)


def _columns(layer: Affine, rotation: Tensor) -> Affine:
    """Take a rotated input."""
    if not layer.weight.shape[1]:  # a constant query
        return layer
    return Affine(layer.weight @ rotation.T, layer.bias)
