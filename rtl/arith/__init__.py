"""Arithmetic: multipliers, adder trees, requantization, exp2, reciprocals."""
