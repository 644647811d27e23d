"""Choices of the pipeline."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """Ways in which codes and weights are chosen.

    Parameters
    ----------
    act_bits : int
        4, 6 or 8.
    rotate : bool
        Rotate the residual stream, and spread each head's dimensions.
    seed : int
        Of the rotation.
    rounding : str
        ``nearest``, ``compensated`` or ``descended``.
    least_squares : bool
        Aim 4-bit rows at what the float network has, instead of at their own weights' results. It
        overfits where there are few images.
    ridge : float
        Pull of that aim towards the weights.
    damping : float
        Of the inputs' moments.
    class_share : float
        Weight of class tokens among all tokens, where one is read in the end.
    centre : bool
        Subtract the mean of keys and values.
    context_per_head : bool
        Give each head's context a scale of its own; the projection's columns absorb it.
    correct_bias : bool
        Set biases so that the mean of each layer's result is the float network's.
    tables : int
        GELU tables per block, 1 or 2.
    second_share : float
        Part of the hidden units that has the second table.
    sweeps : int
        Of coordinate descent.
    samples : int
        Images whose tensors are looked at to choose scales.
    chance : int, optional
        Seed: of mixed weights, the tiles that get 8 bits are taken by chance. What a choice by
        scores has to beat.
    """

    act_bits: int = 6
    rotate: bool = True
    seed: int = 0
    rounding: str = "descended"
    least_squares: bool = True
    ridge: float = 3.0
    damping: float = 0.01
    class_share: float = 0.1
    centre: bool = True
    context_per_head: bool = True
    correct_bias: bool = True
    tables: int = 2
    second_share: float = 0.125
    sweeps: int = 2
    samples: int = 16
    chance: int | None = None


NAIVE = Method(
    rotate=False,
    rounding="nearest",
    least_squares=False,
    centre=False,
    context_per_head=False,
    correct_bias=False,
    tables=1,
)
"""What one would try first: scales from ranges, and every weight rounded by itself."""
