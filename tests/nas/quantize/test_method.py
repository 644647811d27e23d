"""Methods are compared, written and read back as plain values."""

from dataclasses import asdict

from nas.quantize.method import NAIVE, Method


def test_a_method_comes_back_from_its_values():
    for method in (Method(), NAIVE):
        assert Method(**asdict(method)) == method


def test_the_naive_method_does_nothing_clever():
    clever = ("rotate", "least_squares", "centre", "context_per_head", "correct_bias")
    assert not any(getattr(NAIVE, name) for name in clever)
    assert (NAIVE.rounding, NAIVE.tables) == ("nearest", 1)
