"""Cells as Yosys' ``write_json`` has them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Bit = int | str  # a net, by its number in the module, or a constant


class Cell(NamedTuple):
    """A cell of the device, or an instance of a module.

    Parameters
    ----------
    name, kind : str
    inputs, outputs : mapping of str to list of Bit
        Nets that each pin is connected to.
    parameters : mapping of str to str
        Parameters by name, numbers in binary.
    """

    name: str
    kind: str
    inputs: Mapping[str, list[Bit]]
    outputs: Mapping[str, list[Bit]]
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, name: str, json: dict) -> "Cell":
        def pins(direction: str) -> dict[str, list[Bit]]:
            directions = json["port_directions"]
            return {
                pin: bits
                for pin, bits in json["connections"].items()
                if directions[pin] == direction
            }

        return cls(name, json["type"], pins("input"), pins("output"), json["parameters"])


def nets(bits: Iterable[Bit]) -> list[int]:
    """Return the nets among some bits, the others being constants."""
    return [bit for bit in bits if isinstance(bit, int)]


def all_nets(pins: Mapping[str, list[Bit]]) -> list[int]:
    return [net for bits in pins.values() for net in nets(bits)]
