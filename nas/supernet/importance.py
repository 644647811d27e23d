"""Importance of channels and heads: a subnet of less width or fewer heads keeps the first ones.

Computed once, at full size, after the float stage and before elasticity.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nas.data import Images
from nas.supernet.permutation import Permutation, PermutationBuilder
from nas.supernet.portions import kept_images
from nas.supernet.supernet import Supernet

RESIDUAL = ("embed", "attended", "output")  # ends of the names of the residual stream's tensors


@dataclass(frozen=True)
class Importance:
    """First-order change of the loss without a channel or a head; each kind by itself.

    Parameters
    ----------
    channels : Tensor
        (width,) of the residual stream.
    heads : Tensor
        (blocks, heads).

    Both are on the CPU.
    """

    channels: Tensor
    heads: Tensor


def importance(net: Supernet, images: Images, batch: int = 64) -> Importance:
    """Sum |value x gradient| of a channel or head over images, tokens added up first.

    Parameters
    ----------
    net : Supernet
        Trained in float mode.
    images : Images
        Training images, as they are; some hundreds suffice.
    """
    space = net.config.space
    arch, device = space.largest(), net.position.device
    channels = torch.zeros(space.widths[-1], device=device)
    heads = torch.zeros(space.depths[-1], space.heads[-1], device=device)
    for part in images.batches(kept_images(net.shape(arch), batch)):
        values: dict[str, Tensor] = {}

        def keep(name: str, tensor: Tensor, values: dict[str, Tensor] = values) -> Tensor:
            if name.endswith((*RESIDUAL, "context")):
                values[name] = tensor
            return tensor

        logits, labels = net(part.pixels, arch, keep), part.labels.to(device)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        gradients = torch.autograd.grad(loss, list(values.values()))
        for (name, value), gradient in zip(values.items(), gradients, strict=True):
            change = (value.detach() * gradient).sum(1)  # (batch, width or heads x head_dim)
            if name.endswith("context"):
                change = change.unflatten(1, (-1, space.head_dim)).sum(2)  # (batch, heads)
                heads[int(name.split(".")[1])] += change.abs().sum(0)
            else:
                channels += change.abs().sum(0)
    return Importance(channels.cpu(), heads.cpu())


def importance_permutation(net: Supernet, found: Importance) -> Permutation:
    """Sort the residual stream's channels and each block's heads, the most important first."""
    moves, head_dim = PermutationBuilder(net), net.config.space.head_dim
    channels = found.channels.argsort(descending=True, stable=True)
    moves.rows("embed", channels)
    moves.move("position", 1, channels)
    moves.columns("head", channels)
    for i, heads in enumerate(found.heads.argsort(dim=1, descending=True, stable=True)):
        block = f"blocks.{i}."
        inner = (heads.unsqueeze(1) * head_dim + torch.arange(head_dim)).flatten()
        for layer in ("q", "k", "v"):
            moves.rows(block + layer, inner)
            moves.columns(block + layer, channels)
        moves.columns(block + "proj", inner)
        moves.columns(block + "fc1", channels)
        for layer, gain in (("proj", "log_attention_gain"), ("fc2", "log_mlp_gain")):
            moves.rows(block + layer, channels)
            moves.move(block + gain, -1, channels)
    return moves.permutation
