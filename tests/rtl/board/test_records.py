"""Limits and memory of a board: what they hold, and what they refuse."""

import pytest
from pydantic import ValidationError

from rtl.board import BoardMemory, Limits

MEMORY = {"gigabytes_per_second": 6.4, "latency_cycles": 50}


def test_nothing_is_limited_unless_it_is_said():
    assert set(Limits().model_dump().values()) == {None}
    assert Limits(uram=0).uram == 0  # a device without UltraRAM


@pytest.mark.parametrize("limits", [{"dsp": 0}, {"uram": -1}, {"lut": 1.0}, {"bram18": 3}])
def test_limits_that_cannot_be(limits):
    with pytest.raises(ValidationError):
        Limits(**limits)


def test_ports_carry_their_width_each():
    assert BoardMemory(**MEMORY).port_bytes_per_cycle == 16
    assert BoardMemory(**MEMORY, ports=3, port_bits=64).port_bytes_per_cycle == 24


@pytest.mark.parametrize(
    "wrong",
    [
        {"gigabytes_per_second": 0.001},
        {"gigabytes_per_second": float("inf")},
        {"latency_cycles": 0},
        {"latency_cycles": 65_536},
        {"ports": 5},
        {"port_bits": 48},
        {"axi_cache": 16},
    ],
)
def test_a_memory_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        BoardMemory(**MEMORY | wrong)


def test_records_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        BoardMemory(**MEMORY).ports = 2
