"""The device that computes, by the name that a user gives."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rtl.errors import UserError


def usable_device(name: str, dtype: torch.dtype = torch.float32) -> torch.device:
    """Return a device by its name.

    Parameters
    ----------
    name : str
        Such as ``cpu``, ``cuda`` or ``cuda:1``.
    dtype : torch.dtype
        Type that it must be able to hold.

    Raises
    ------
    UserError
        If torch does not know it, this machine lacks it, or it lacks the type.
    """
    try:
        probe = torch.zeros(1, device=name, dtype=dtype)
        probe.item()  # a device without memory of its own, such as meta, fails here
        return probe.device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0].removesuffix(".")
        raise UserError(f"--device {name} cannot be used: {reason}; cpu always can") from None


def moved_to(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor from the CPU's memory without waiting for what the device has yet to do."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@contextmanager
def enough_memory(remedy: str) -> Iterator[None]:
    """Turn running out of memory, the device's or the CPU's, into one line that ends in a remedy.

    Raises
    ------
    UserError
        Where the block runs out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        on_cpu = isinstance(error, MemoryError) or "DefaultCPUAllocator" in text
        if not on_cpu and not isinstance(error, torch.OutOfMemoryError):
            raise
        device = "the CPU" if on_cpu else text.partition(" out of memory")[0]
        raise UserError(f"out of memory on {device}: {remedy}") from None
