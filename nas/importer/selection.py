"""Selection of tokens in floating point: the patches that the class token attends to most stay."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nas.importer.network import FloatNetwork
from rtl.errors import UserError
from rtl.model.keep import parse_keep, with_keep
from rtl.model.shape import NetworkShape

Tap = Callable[[str, Tensor], Tensor]
"""As of :func:`nas.importer.forward.forward`."""

KEPT = "kept"
"""Name, within a block, of the tokens that stay (docs/numerics.md, section 8)."""


def keeping(network: FloatNetwork, keep: str | Mapping[int, int]) -> FloatNetwork:
    """Return the same network with a number of patches that stay behind some blocks.

    Parameters
    ----------
    network : FloatNetwork
    keep : str or mapping of int to int
        As :func:`rtl.model.keep.parse_keep` takes and gives it.

    Raises
    ------
    UserError
        If the network cannot keep these.
    """
    sizes = selectable(network)
    counts = parse_keep(keep, sizes) if isinstance(keep, str) else keep
    shape = with_keep(sizes, counts)
    pairs = zip(network.blocks, shape.blocks, strict=True)
    return replace(network, blocks=tuple(replace(one, keep=of.keep) for one, of in pairs))


def selectable(network: FloatNetwork) -> NetworkShape:
    """Return the sizes of a network for the checks of its selection.

    Raises
    ------
    UserError
        If every token is read by what follows the network.
    """
    if network.host is not None and network.pool == "all":
        raise UserError(
            f"{network.source.get('name', 'the network')} has a decoder, which reads every patch:"
            " none may go; nas.quantize --pool token leaves it out and gives the class token's"
            " features"
        )
    return replace(network.sizes, mean_pool=network.pool == "mean")


def most_important(importance: Tensor, keep: int, others: int) -> Tensor:
    """Return the tokens that stay, ascending: the most important patches, and all others.

    Parameters
    ----------
    importance : (batch, patches)
    keep : int
        Of equally important patches, the first ones stay.
    others : int
        Tokens behind the patches.

    Returns
    -------
    (batch, keep + others) int64
    """
    order = importance.argsort(dim=-1, descending=True, stable=True)
    patches = order[:, :keep].sort(-1).values
    behind = torch.arange(others, device=order.device) + importance.shape[1]
    return torch.cat([patches, behind.expand(len(order), -1)], 1)


def gathered(x: Tensor, kept: Tensor) -> Tensor:
    """Take the tokens that stay: (batch, tokens, ...) and (batch, kept) to (batch, kept, ...)."""
    return x[torch.arange(len(x), device=x.device)[:, None], kept]


def noting(kept: dict[str, Tensor], tap: Tap) -> Tap:
    """Return a tap that notes the tokens that stay, as :func:`on_tokens` takes them."""

    def note(name: str, tensor: Tensor) -> Tensor:
        if name.rpartition(".")[2] == KEPT:
            kept[name] = tensor
        return tap(name, tensor)

    return note


def on_tokens(kept: Mapping[str, Tensor], tap: Tap) -> Tap:
    """Return a tap that lets given tokens stay, whatever a network would choose itself.

    Parameters
    ----------
    kept : mapping of str to (batch, kept)
        By name, ``blocks.0.kept``; other names do not matter, so all tensors of the integer mode
        will do.
    tap : callable
        For everything else.
    """

    def given(name: str, tensor: Tensor) -> Tensor:
        if name.rpartition(".")[2] == KEPT:
            return kept[name].to(tensor)
        return tap(name, tensor)

    return given


def original_patches(kept: Mapping[str, Tensor], patches: int) -> dict[int, Tensor]:
    """Say which patches of the image stay behind each block that selects.

    Parameters
    ----------
    kept : mapping of str to (batch, kept)
        As of :func:`on_tokens`, in the order of the blocks; other tensors do not matter.
    patches : int
        Of the image.

    Returns
    -------
    dict of int to (batch, patches) bool
        By block: whether each patch of the image is still there.
    """
    found: dict[int, Tensor] = {}
    where: Tensor | None = None
    for name, indices in kept.items():
        if name.rpartition(".")[2] != KEPT:
            continue
        inside = indices.cpu().long()
        where = inside if where is None else where.gather(1, inside)
        there = torch.zeros(len(where), patches + where.shape[1], dtype=torch.bool)
        found[int(name.split(".")[1])] = there.scatter(1, where, value=True)[:, :patches]
    return found
