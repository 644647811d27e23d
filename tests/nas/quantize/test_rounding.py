"""Rounded rows: every method improves on the one before, within the codes' limits."""

import pytest
import torch

from nas.quantize.rounding import (
    Rows,
    best_step,
    compensated,
    descended,
    limits,
    nearest,
    squared_error,
)


@pytest.fixture(scope="module")
def problem():
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(40, 40, generator=rng) * 0.3 + torch.eye(40)
    inputs = torch.randn(500, 40, generator=rng) @ mix
    return torch.randn(24, 40, generator=rng), inputs.T @ inputs / 500


def error(weight, rows, moments):
    return float(squared_error(weight, rows, moments).sum())


def test_methods_improve_on_each_other(problem):
    weight, moments = problem
    bits = torch.full((24,), 4)
    plain = nearest(weight, bits, moments.diagonal())
    gptq = compensated(weight, bits, moments)
    best = descended(weight, moments, gptq)
    errors = [error(weight, rows, moments) for rows in (plain, gptq, best)]
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.95 * errors[1]


def test_codes_stay_within_their_bits(problem):
    weight, moments = problem
    bits = torch.tensor([4, 8] * 12)
    for rows in (nearest(weight, bits), compensated(weight, bits, moments)):
        rows = descended(weight, moments, rows)
        low, high = limits(bits)
        assert (rows.codes >= low).all() and (rows.codes <= high).all()
        assert (rows.codes == rows.codes.round()).all()
        assert (rows.step > 0).all()
        assert rows.codes[0::2].abs().max() > 5  # 4 bits are used
        assert rows.codes[1::2].abs().max() > 60


def test_squared_error_is_that_of_the_results(problem):
    weight, _ = problem
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randn(50, 40, generator=rng)
    rows = nearest(weight, torch.full((24,), 4))
    results = inputs @ (weight - rows.weight).T
    expected = results.square().mean(0)
    torch.testing.assert_close(squared_error(weight, rows, inputs.T @ inputs / 50), expected)


def test_exact_weights_are_kept():
    codes = torch.tensor([[-8.0, 7, 3, 0], [1, -8, 2, 5]])
    rows = nearest(codes * torch.tensor([[0.5], [0.1]]), torch.tensor([4, 4]))
    torch.testing.assert_close(rows.weight, codes * torch.tensor([[0.5], [0.1]]))


def test_rows_of_zeros_and_dead_inputs():
    weight = torch.zeros(2, 6)
    moments = torch.zeros(6, 6)
    moments[0, 0] = 1.0  # the other inputs never move
    rows = descended(weight, moments, compensated(weight, torch.tensor([4, 8]), moments))
    assert (rows.codes == 0).all() and (rows.step > 0).all()


def test_best_step_is_a_minimum(problem):
    weight, moments = problem
    rows = nearest(weight, torch.full((24,), 4))
    best = Rows(rows.codes, rows.bits, best_step(weight, moments, rows))
    for factor in (0.99, 1.01):
        other = Rows(rows.codes, rows.bits, best.step * factor)
        assert (squared_error(weight, best, moments) <= squared_error(weight, other, moments)).all()


def test_importance_moves_the_step():
    weight = torch.tensor([[10.0, *[0.3] * 9]])
    few = nearest(weight, torch.tensor([4]), torch.tensor([1e-6, *[1.0] * 9]))
    all_alike = nearest(weight, torch.tensor([4]))
    assert few.step < all_alike.step
