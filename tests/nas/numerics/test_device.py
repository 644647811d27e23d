"""Devices by name, and running out of memory."""

import pytest
import torch

from nas.numerics.device import enough_memory, moved_to, usable_device
from rtl.errors import UserError

CPU = torch.device("cpu")


def test_the_cpu_is_a_device():
    assert usable_device("cpu") == usable_device("cpu", torch.float64) == CPU


@pytest.mark.parametrize("name", ["toaster", "meta", "cuda:99", "xla"])
def test_a_device_that_is_not_here_is_refused_in_one_line(name):
    problem = f"^--device {name} cannot be used: .*; cpu always can$"
    with pytest.raises(UserError, match=problem) as error:
        usable_device(name, torch.float64)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_moving_keeps_the_values():
    assert torch.equal(moved_to(torch.arange(3), CPU), torch.arange(3))


def test_running_out_of_memory_is_one_line_with_a_remedy():
    with pytest.raises(UserError, match=r"^out of memory on the CPU: lower the batch$"):
        with enough_memory("lower the batch"):
            torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="size"), enough_memory("lower the batch"):
        torch.dot(torch.zeros(2), torch.zeros(3))
