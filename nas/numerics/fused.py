"""Elementwise functions that can be compiled, each to one pass over its tensors.

``torch.compile`` makes the same values of them, bit for bit: it neither reorders nor contracts what
is no sum. Sums stay outside: compiled, they would be added in another order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from random import random
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from rtl.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

_fusing = False


def fusible(function: Callable[P, R]) -> Callable[P, R]:
    """Let an elementwise function of tensors be compiled inside of :func:`fused`.

    It belongs inside of an autograd function: compiled, it passes no gradients.
    """
    compiled = cache(lambda: torch.compile(function, dynamic=True))

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not _fusing:
            return function(*args, **kwargs)
        values: Any = (each.detach() if isinstance(each, Tensor) else each for each in args)
        return compiled()(*values, **kwargs)

    return call


@contextmanager
def fused(on: bool = True, device: torch.device | None = None) -> Iterator[None]:
    """Compile :func:`fusible` functions for a while, each when it is first called.

    On a CPU that takes a C++ compiler, and a second or two for each.

    Parameters
    ----------
    on : bool
        Whether to compile; if not, functions are called as they are.
    device : torch.device, optional
        Device to compile for, the CPU unless said otherwise.

    Raises
    ------
    UserError
        If torch cannot compile here.
    """
    global _fusing
    if on:
        _require_compiler(device)
    before, _fusing = _fusing, on
    try:
        yield
    finally:
        _fusing = before


@cache
def _require_compiler(device: torch.device | None) -> None:
    """Compile what was never compiled before, or torch would take it from its files."""
    new = random()
    try:
        torch.compile(lambda x: x + new)(torch.zeros(2, device=device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"--compile needs a compiler that torch finds ({reason}): leave it out"
        ) from None


def equal(a: Tensor, b: Tensor) -> Tensor:
    """Mark codes that are equal: int8, of the tensors' shape."""
    if torch.compiler.is_compiling():
        return (1 - (a - b).abs().clamp(max=1)).to(torch.int8)  # a comparison is not vectorised
    return (a == b).view(torch.int8)


@fusible
def masked(x: Tensor, kept: Tensor) -> Tensor:
    """Multiply by what :func:`equal` marked; int8 becomes float sooner than bool."""
    return x * kept
