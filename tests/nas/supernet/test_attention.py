"""Softmax weights and their mean of the values: gradients."""

from math import log, sqrt

import torch

from nas.supernet.attention import attention_weights, context, scores
from rtl.model import numerics
from tests.nas.supernet.gradients import ACT, INT8, assert_same, coded, integers


def test_attention_gradients():
    q, k, v = (
        integers(-8, 8, 2, 5, 8),  # a softmax that is not one-hot
        integers(*INT8, 2, 9, 8, seed=1),
        integers(*INT8, 2, 9, 8, seed=2),
    )
    logs = [torch.tensor(log(scale)) for scale in (0.05, 0.012, 0.03, 0.06)]
    dither = torch.tensor([numerics.dither(key) for key in range(9)])

    def ours(q, k, v, log_q, log_k, log_v, log_out):
        s = scores(q, k, 6)
        e = attention_weights(s, log_q=log_q, log_k=log_k, head_dim=8, act_bits=6)
        return context(e, v, log_v=log_v, log_out=log_out, limits=ACT)

    def theirs(q, k, v, log_q, log_k, log_v, log_out):
        s = q @ k.transpose(-1, -2)
        distance = (s.detach().amax(-1, keepdim=True) - s) * 256 / log(2)
        u = distance * torch.exp(log_q + log_k) / sqrt(8)
        u = torch.floor(u).detach() + (u - u.detach())
        e = 63 * torch.exp2(-u / 256)
        table = torch.floor(63 * 256 * torch.exp2(-(u.detach() % 256) / 256) + 0.5)
        code = torch.floor((torch.floor(table * 2.0 ** -torch.floor(u / 256)) + dither) / 256)
        e = code.detach() + (e - e.detach())
        y = (e @ v) / e.sum(-1, keepdim=True) * torch.exp(log_v - log_out)
        return coded(y, *ACT)

    # Our e is cut to 1/256 before the gradient; in the scales' gradients large terms cancel.
    assert_same(ours, theirs, q, k, v, *logs, tolerance=3e-2)
