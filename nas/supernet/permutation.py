"""Reordering of channels, heads and rows that leaves a network's function as it is."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nas.supernet.supernet import Supernet

Permutation = dict[str, list[tuple[int, Tensor]]]
"""Per parameter name the axes to reorder: new[i] = old[order[i]] along each."""


class PermutationBuilder:
    """Collects the moves that belong together.

    Parameters
    ----------
    net : Supernet

    Attributes
    ----------
    permutation : Permutation
    """

    def __init__(self, net: Supernet) -> None:
        self.net = net
        self.permutation: Permutation = {}

    def move(self, parameter: str, axis: int, order: Tensor) -> None:
        """Reorder one axis of a parameter."""
        self.permutation.setdefault(parameter, []).append((axis, order))

    def rows(self, layer: str, order: Tensor) -> None:
        """Reorder the rows of a layer, with their bias and steps."""
        self.move(f"{layer}.weight", 0, order)
        self.move(f"{layer}.log_step", 1, order)
        if self.net.get_submodule(layer).bias is not None:
            self.move(f"{layer}.bias", 0, order)

    def columns(self, layer: str, order: Tensor) -> None:
        """Reorder the columns of a layer."""
        self.move(f"{layer}.weight", 1, order)


def permute(tensors: Mapping[str, Tensor], permutation: Permutation) -> None:
    """Reorder tensors in place: weights, averages of them, or one kind of optimizer state.

    They may lie on any device. Names are those of the supernet's parameters; tensors that are
    missing are skipped.
    """
    with torch.no_grad():
        for name, moves in permutation.items():
            if name in tensors:
                for axis, order in moves:
                    tensor = tensors[name]
                    tensor.copy_(tensor.index_select(axis, order.to(tensor.device)))


def permute_training(
    net: Supernet,
    optimizer: torch.optim.Optimizer,
    averages: Mapping[str, Tensor],
    permutation: Permutation,
) -> None:
    """Reorder weights, optimizer state and averages together."""
    parameters = dict(net.named_parameters())
    permute(parameters, permutation)
    permute(averages, permutation)
    state: dict[str, Any] = {n: optimizer.state.get(p, {}) for n, p in parameters.items()}
    for kind in ("exp_avg", "exp_avg_sq"):
        permute({n: values[kind] for n, values in state.items() if kind in values}, permutation)
