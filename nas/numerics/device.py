"""The device that computes, by the name that a user gives."""

import torch

from rtl.errors import UserError


def usable_device(name: str) -> torch.device:
    """Return a device by its name.

    Raises
    ------
    UserError
        If torch does not know it, or this machine lacks it.
    """
    try:
        return torch.empty(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--device {name} cannot be used: {reason}") from None
