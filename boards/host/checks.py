"""Checks that say in one line what is wrong, the value and the limit."""

from __future__ import annotations

import numpy as np

from boards.host.errors import UserError

SHOWN_CHARS = 60  # of an offending value: a message stays one line whatever the file holds


def shown(value: object) -> str:
    """``repr`` of a value, shortened."""
    try:
        text = repr(value)
    except ValueError:  # an integer with thousands of digits
        text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 4] + " ..."


def integer(name: str, value: object, low: int, high: int) -> None:
    """Refuse anything but an int (no bool, no NumPy scalar) from ``low`` to ``high``."""
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"{name} must be an integer from {low} to {high}, not {shown(value)}")


def boolean(name: str, value: object) -> None:
    if type(value) is not bool:
        raise UserError(f"{name} must be true or false, not {shown(value)}")


def text(name: str, value: object) -> None:
    if type(value) is not str:
        raise UserError(f"{name} must be text, not {shown(value)}")


def choice(name: str, value: object, options: tuple[object, ...]) -> None:
    if not any(type(value) is type(option) and value == option for option in options):
        listed = ", ".join(str(option) for option in options)
        raise UserError(f"{name} must be one of {listed}, not {shown(value)}")


def tensor(name: str, value: np.ndarray, dtype: str, shape: tuple[int, ...]) -> None:
    """Refuse an array of another type or shape."""
    if value.dtype != np.dtype(dtype):
        raise UserError(f"tensor {name} must be {dtype}, not {value.dtype}")
    if value.shape != shape:
        raise UserError(f"tensor {name} must have shape {_sizes(shape)}, not {_sizes(value.shape)}")


def values(name: str, value: np.ndarray, low: int, high: int, what: str = "") -> None:
    """Refuse an array with an element outside ``low`` ... ``high``; the first one is named."""
    if value.size and (value.min() < low or value.max() > high):
        index = tuple(np.argwhere((value < low) | (value > high))[0])
        place = ", ".join(str(i) for i in index)
        raise UserError(
            f"tensor {name}[{place}] is {value[index]}: {what or 'it'} must be {low} to {high}"
        )


def finite(name: str, value: np.ndarray) -> None:
    """Refuse an array with NaN or an infinity; the first one is named."""
    if not np.isfinite(value).all():
        index = tuple(np.argwhere(~np.isfinite(value))[0])
        place = f"[{', '.join(str(i) for i in index)}]" if index else ""
        raise UserError(f"tensor {name}{place} is {value[index]}: it must be a finite number")


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape) or "scalar"
