"""Selection of patch tokens by the class token's attention, image by image.

The choice is hard in both modes and has no gradient; the tokens that stay carry theirs.
"""

from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from nas.numerics.codes import look_up
from nas.supernet.attention import decay_table, distances, softmax_factor

IMPORTANCE_SHIFT = 7  # beyond that of a head's reciprocal


@torch.no_grad()
def importance(
    scores: Tensor,
    attention: Tensor,
    *,
    log_q: Tensor,
    log_k: Tensor,
    head_dim: int,
    act_bits: int,
) -> Tensor:
    """Importance of the patches: the class token's weights before dither, over their sum.

    Parameters
    ----------
    scores : Tensor
        (batch, heads, tokens, tokens) sums of products, the class token's last.
    attention : Tensor
        Their softmax weights, of :func:`nas.supernet.attention.attention_weights`.
    log_q, log_k : Tensor
        Logarithms of the scales of q and k, scalars.
    head_dim, act_bits : int

    Returns
    -------
    Tensor
        (batch, tokens - 1) whole numbers below ``2**24`` (numerics section 5).
    """
    factor = softmax_factor(log_q, log_k, head_dim)
    u = distances(scores[:, :, -1], factor)[..., :-1]  # (batch, heads, patches)
    # In float64 whole numbers: weights of 16 bits, reciprocals of 17.
    weights = look_up(decay_table(act_bits, scores.device), u).double() * 256
    total = attention[:, :, -1].sum(-1, keepdim=True).double()  # (batch, heads, 1)
    _, bits = torch.frexp(total)
    reciprocal = torch.floor(torch.ldexp(torch.ones_like(total), 15 + bits) / total)
    terms = torch.floor(torch.ldexp(weights * reciprocal, -(bits + IMPORTANCE_SHIFT)))
    return terms.sum(1).float()


@torch.no_grad()
def real_importance(q: Tensor, k: Tensor) -> Tensor:
    """Importance of the patches in real values: the class token's softmax, summed over heads.

    q, k: (batch, heads, tokens, head_dim), the class token's last. Returns (batch, tokens - 1).
    """
    scores = q[:, :, -1:] @ k.transpose(-1, -2) / sqrt(q.shape[-1])
    return scores.softmax(-1).sum((1, 2))[:, :-1]


def kept_tokens(importance: Tensor, keep: int) -> Tensor:
    """Choose the most important patches, of equal ones the first, and the class token behind them.

    Parameters
    ----------
    importance : Tensor
        (batch, patches).
    keep : int
        Patches that stay.

    Returns
    -------
    Tensor
        (batch, keep + 1) int64 places of the tokens that stay, ascending.
    """
    order = importance.argsort(dim=1, descending=True, stable=True)[:, :keep]
    return functional.pad(order.sort(1).values, (0, 1), value=importance.shape[1])


def gathered(x: Tensor, kept: Tensor) -> Tensor:
    """Take the tokens that stay: (batch, tokens, width) and (batch, kept) to (batch, kept, width).

    The gradient goes to the tokens that were taken.
    """
    return x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
