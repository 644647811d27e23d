"""The computation of a canonical network, tensor by tensor, in floating point."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from nas.importer.network import Affine, FloatBlock, FloatFront, FloatNetwork, LayerNorm
from nas.importer.selection import gathered, most_important
from nas.numerics.reshape import join_heads, patches_of, split_heads

Tap = Callable[[str, Tensor], Tensor]
"""Receives a tensor by the name of docs/numerics.md, section 8, and returns what to go on with."""


def look(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as it is: the tap that does nothing."""
    return tensor


def forward(network: FloatNetwork, images: Tensor, tap: Tap = look) -> Tensor:
    """Compute the residual stream behind the last block, of all tokens or the pooled one.

    Parameters
    ----------
    network : FloatNetwork
        Its tensors' type and device are those of the computation.
    images : (batch, height, width, channels) uint8
    tap : callable
        Called with every tensor of section 8 as real values: ``attention`` are normalised weights,
        ``blocks.i.fc1`` is the input of GELU, ``norm`` outputs are behind weight and bias;
        ``importance`` are sums of normalised weights, ``kept`` int64.

    Returns
    -------
    (batch, tokens, width), or (batch, 1, width) where the last block pools
    """
    others = network.others
    residual = tap("embed", embed(network, images))
    if network.front is not None:
        residual = run_front(network.front, residual, tap)
    for index, block in enumerate(network.blocks):
        inside = partial(_inside, tap, index)
        residual = run_block(block, residual, network.head_dim, inside, others=others)
    return residual


def embed(network: FloatNetwork, images: Tensor) -> Tensor:
    """Pixels to the residual stream: (batch, tokens, width)."""
    position = network.position
    pixels = patches_of(images.to(position.device), network.patch).to(position.dtype)
    size = network.patch**2
    mean, std = network.mean.repeat(size), network.std.repeat(size)
    patches = linear(network.embed, (pixels / 255 - mean) / std)
    others = patches.new_zeros(len(images), network.others, network.width)
    return torch.cat([patches, others], 1) + position


def run_front(front: FloatFront, residual: Tensor, tap: Tap = look) -> Tensor:
    """The stream in front of the blocks to theirs, (batch, tokens, width)."""
    normal = tap("front.norm", layer_norm(front.norm, residual))
    return tap("front", normal if front.layer is None else linear(front.layer, normal))


def run_block(
    block: FloatBlock, residual: Tensor, head_dim: int, tap: Tap = look, *, others: int = 1
) -> Tensor:
    """One transformer block, (batch, tokens, width) to the same; names are those within a block.

    One that pools gives (batch, 1, width), one that selects its ``keep`` patches and the ``others``
    behind them.
    """
    residual, weights = attend(block, residual, head_dim, tap)
    if block.keep is not None:
        importance = tap("importance", weights[:, : weights.shape[1] - others])
        kept = tap("kept", most_important(importance, block.keep, others))
        residual = gathered(residual, kept)
    return run_mlp(block, tap("attended", residual), tap)


def attend(
    block: FloatBlock, residual: Tensor, head_dim: int, tap: Tap = look
) -> tuple[Tensor, Tensor]:
    """First half of a block, without its end: selection, and the tap of ``attended``.

    Returns
    -------
    (batch, tokens, width)
        The stream behind the projection.
    (batch, tokens)
        Attention weights of the last token, before they are rounded, summed over the heads.
    """
    normal = tap("norm1", layer_norm(block.norm1, residual))
    if block.pools:
        residual = torch.zeros_like(residual[:, -1:])
    q, k, v = (tap(name, x) for name, x in zip("qkv", project(block, normal), strict=True))
    q, k, v = (split_heads(tensor, head_dim) for tensor in (q, k, v))
    scores = tap("scores", q @ k.transpose(-1, -2) / head_dim**0.5)
    weights = scores.softmax(-1)  # (batch, heads, queries, tokens)
    last = weights[:, :, -1].sum(1)
    context = tap("context", join_heads(tap("attention", weights) @ v))
    return residual + block.scale1 * linear(block.proj, context), last


def run_mlp(block: FloatBlock, residual: Tensor, tap: Tap = look) -> Tensor:
    """Second half of a block, (batch, tokens, width) to the same."""
    normal = tap("norm2", layer_norm(block.norm2, residual))
    hidden = tap("hidden", gelu(block.activation, tap("fc1", linear(block.fc1, normal))))
    return tap("output", residual + block.scale2 * linear(block.fc2, hidden))


def project(block: FloatBlock, normal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q, K and V, each (batch, tokens, heads * head_dim); of a constant query, one token."""
    queries = normal[:, -1:, :0] if block.pools else normal
    return linear(block.q, queries), linear(block.k, normal), linear(block.v, normal)


def features(network: FloatNetwork, residual: Tensor) -> Tensor:
    """The final LayerNorm of all tokens, and what multiplies it: (batch, tokens, features)."""
    normal = residual if network.norm is None else layer_norm(network.norm, residual)
    return normal if network.features is None else linear(network.features, normal)


def logits(network: FloatNetwork, residual: Tensor, tap: Tap = look) -> Tensor:
    """The classifier's output, (batch, classes).

    ``tap`` is called with ``norm``, ``pool`` where there is a mean, and ``logits``.

    Raises
    ------
    ValueError
        If the network has no classifier.
    """
    if network.head is None:
        raise ValueError("network has no classifier")
    mean = network.pool == "mean"
    final = residual[:, : network.patches] if mean else residual[:, -1]
    normal = tap("norm", features(network, final))
    return tap("logits", linear(network.head, tap("pool", normal.mean(1)) if mean else normal))


def output(network: FloatNetwork, residual: Tensor, tap: Tap = look) -> Tensor:
    """Logits, (batch, classes), or without a classifier the features that ``pool`` names.

    Those are (batch, features) of the class token, the mean or the pooled token, (batch, tokens,
    features) of all.
    """
    if network.head is not None:
        return logits(network, residual, tap)
    if network.pool in ("token", "attention"):
        return features(network, residual[:, -1])
    if network.pool == "mean":
        return features(network, residual[:, : network.patches]).mean(1)
    return features(network, residual)


def linear(layer: Affine, x: Tensor) -> Tensor:
    """(..., depth) to (..., rows)."""
    return functional.linear(x, layer.weight, layer.bias)


def layer_norm(norm: LayerNorm, x: Tensor) -> Tensor:
    """Normalise the last axis."""
    return functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.epsilon)


def gelu(kind: str, x: Tensor) -> Tensor:
    """One of :data:`nas.importer.network.ACTIVATIONS`."""
    if kind == "quick":
        return x * torch.sigmoid(1.702 * x)
    return functional.gelu(x, approximate="tanh" if kind == "tanh" else "none")


def _inside(tap: Tap, index: int, name: str, tensor: Tensor) -> Tensor:
    """Call a tap with the name of a block's tensor."""
    return tap(f"blocks.{index}.{name}", tensor)
