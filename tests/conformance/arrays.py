"""Arrays in the smallest type, in files that are equal to the byte on every machine."""

from pathlib import Path
from typing import Any

import numpy as np

from rtl.files import atomic_write

DTYPES = (np.uint8, np.int8, np.int16, np.int32)
"""Types of the stored tensors: the first one that holds all values."""


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as .npz without compression, whose bytes would differ between zlibs."""
    stored: dict[str, Any] = {name: smallest(array) for name, array in arrays.items()}
    with atomic_write(path) as file:
        np.savez(file, **stored)


def smallest(array: np.ndarray) -> np.ndarray:
    """Store integers in the smallest of :data:`DTYPES` that holds them; floats as they are."""
    if array.dtype == np.float32:
        return array
    for dtype in DTYPES:
        limits = np.iinfo(dtype)
        if array.size == 0 or (limits.min <= array.min() and array.max() <= limits.max):
            return array.astype(dtype)
    raise ValueError(f"values up to {array.max()} do not fit int32")
