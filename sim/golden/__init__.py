"""The reference interpreter of docs/numerics.md, in NumPy. Every other executor is compared to it.

``ops`` has one function per operation, ``network`` puts them in order.
"""

from sim.golden.network import run
from sim.golden.ops import (
    add_residual,
    context_scale,
    gelu,
    importance_terms,
    layer_norm,
    matmul,
    patches,
    requantize,
    rsqrt,
    select,
    softmax_weights,
)

__all__ = [
    "add_residual",
    "context_scale",
    "gelu",
    "importance_terms",
    "layer_norm",
    "matmul",
    "patches",
    "requantize",
    "rsqrt",
    "run",
    "select",
    "softmax_weights",
]
