"""Exact sums of products of codes, in the fastest type that holds them.

A sum of whole numbers in float32 rounds nowhere as long as no partial sum exceeds ``2**24``, in
whatever order it is added. On a GPU the factors are float16, which holds whole numbers up to 2048,
and the sums are float32: tensor cores multiply so. Longer sums are made of parts in float64.
"""

import torch
from torch import Tensor

EXACT_FLOAT32 = 1 << 24
EXACT_FLOAT16 = 1 << 11


def exact_matmul(a: Tensor, b: Tensor, largest: tuple[int, int]) -> Tensor:
    """Multiply matrices of codes: (..., n, depth) by (..., depth, m) to (..., n, m).

    Parameters
    ----------
    a, b : Tensor
        Whole numbers in float32; both of two dimensions, or of equal leading ones.
    largest : tuple of int
        Bounds of their magnitudes.

    Returns
    -------
    Tensor
        Exact: float32 where ``depth`` products stay within ``2**24``, otherwise float64.
    """
    narrow = a.is_cuda and max(largest) <= EXACT_FLOAT16
    multiply = _half_matmul if narrow else torch.matmul
    part, depth = max(1, EXACT_FLOAT32 // (largest[0] * largest[1])), a.shape[-1]
    if depth <= part:
        return multiply(a, b)
    total = multiply(a[..., :part], b[..., :part, :]).double()
    for start in range(part, depth, part):
        total += multiply(a[..., start : start + part], b[..., start : start + part, :])
    return total


def _half_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Multiply as float16 with sums in float32: CUDA alone has it."""
    # Parts of a sum that were rounded to float16 would not be exact.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    a, b = a.half(), b.half()
    if a.dim() == 2:
        return torch.mm(a, b, out_dtype=torch.float32)
    batch = a.shape[:-2]
    product = torch.bmm(a.flatten(0, -3), b.flatten(0, -3), out_dtype=torch.float32)
    return product.unflatten(0, batch)
