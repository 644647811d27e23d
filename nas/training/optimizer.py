"""Optimizer of the supernet: groups of parameters, and the rate of a step."""

from math import cos, pi
from typing import Any

import torch

from nas.supernet.supernet import Supernet
from nas.training.recipe import TrainConfig

RISE = 0.3  # part of a stage in which the rate goes up


def optimizer_of(net: Supernet, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW for the parameters of a network.

    Each group has a ``factor``, its rate over that of the weights.
    """
    return torch.optim.AdamW(_groups(net, config), betas=(0.9, 0.99), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of the weights, and by it that of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def one_cycle(highest: float, done: float) -> float:
    """Rate of a one-cycle schedule after a part of it: up over 30 %, then down to nothing."""
    if done < RISE:
        return highest * (0.04 + 0.96 * (1 - cos(pi * done / RISE)) / 2)
    return highest * (1e-3 + (1 + cos(pi * (done - RISE) / (1 - RISE))) / 2)


def _groups(net: Supernet, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups: weights decay; scales and steps (``log``) learn at their own rate."""
    weights, scales, rest = [], [], []
    for name, parameter in net.named_parameters():
        leaf = name.rpartition(".")[2]
        if leaf == "weight":
            weights.append(parameter)
        else:
            (scales if leaf in ("log", "log_step") else rest).append(parameter)
    return [
        {"params": weights, "weight_decay": config.weight_decay, "factor": 1.0},
        {"params": scales, "weight_decay": 0.0, "factor": config.scale_rate},
        {"params": rest, "weight_decay": 0.0, "factor": 1.0},
    ]
