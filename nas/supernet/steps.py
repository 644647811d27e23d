"""Starting values of scales and steps, before training moves them."""

import torch
from torch import Tensor

from nas.numerics.codes import round_half_up


def best_step(x: Tensor, low: float, high: float, candidates: int = 40) -> Tensor:
    """Step with the least squared error for each row of ``x``, by trying a range of them.

    Parameters
    ----------
    x : Tensor
        (rows, values) real values.
    low, high : float
        Limits of the codes.
    candidates : int
        Steps to try.

    Returns
    -------
    Tensor
        (rows,), > 0.
    """
    top = x.abs().amax(1).clamp(min=1e-6) / max(-low, high)
    best, least = top.clone(), torch.full_like(top, torch.inf)
    for ratio in torch.linspace(0.2, 1.2, candidates).tolist():
        step = (top * ratio).unsqueeze(1)
        error = (round_half_up(x / step).clamp(low, high) * step - x).square().sum(1)
        best = torch.where(error < least, step.squeeze(1), best)
        least = torch.minimum(error, least)
    return best
