"""What a search can keep low beside the error, by name; all of one image."""

from typing import Literal, get_args

Objective = Literal[
    "cycles", "array_cycles", "memory_bytes", "scratchpad_bytes", "energy_joules"
]  # fmt: skip
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
AXES: dict[Objective, tuple[str, str]] = {
    "cycles": ("cycles", ""),
    "array_cycles": ("cycles in which the array multiplies", ""),
    "memory_bytes": ("from and to memory", "B"),
    "scratchpad_bytes": ("from and to scratchpads", "B"),
    "energy_joules": ("dynamic energy", "J"),
}
"""Label and unit in a picture."""
