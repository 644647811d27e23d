"""GELU: the table is GELU, gradients are autograd's."""

from math import erf, log, sqrt

import torch
from torch.nn import functional

from nas.supernet.gelu import gelu, gelu_table
from tests.nas.supernet.gradients import assert_same, coded


def test_gelu_gradients():
    code = torch.arange(-128.0, 128.0).reshape(2, 128)
    limits = (-4, 59)

    def theirs(code, log_in, log_out):
        return coded(functional.gelu(code * log_in.exp()) / log_out.exp(), *limits)

    def ours(code, log_in, log_out):
        return gelu(code, log_in=log_in, log_out=log_out, limits=limits)

    assert_same(ours, theirs, code, torch.tensor(log(0.035)), torch.tensor(log(0.05)))


def test_gelu_table_is_gelu():
    log_in, log_out = torch.tensor(log(0.03)), torch.tensor(log(0.06))
    table, _, _ = gelu_table(log_in, log_out, (-3, 60))
    for code in (-128, -20, 0, 1, 50, 127):
        x = code * float(log_in.exp())
        exact = x * (1 + erf(x / sqrt(2))) / 2 / float(log_out.exp())
        assert abs(float(table[code + 128]) - min(max(exact, -3), 60)) <= 0.5 + 1e-6
