"""Netlists by hand: cells from a few words, as Yosys' ``write_json`` would have them."""

PINS = {  # inputs, outputs; a digit at the end is a width
    **{f"LUT{n}": ([f"I{k}" for k in range(n)], ["O"]) for n in range(1, 7)},
    "LUT6_2": ([f"I{k}" for k in range(6)], ["O5", "O6"]),
    "MUXF7": (["I0", "I1", "S"], ["O"]),
    "MUXF8": (["I0", "I1", "S"], ["O"]),
    "CARRY4": (["CI", "CYINIT", "DI", "S"], ["O", "CO"]),
    "CARRY8": (["CI", "CI_TOP", "DI", "S"], ["O", "CO"]),
    "FDRE": (["C", "CE", "D", "R"], ["Q"]),
    "RAM64X1D": (["A", "DPRA", "D", "WE", "WCLK"], ["SPO", "DPO"]),
    "DSP48E2": (["A", "B", "C", "PCIN"], ["P", "PCOUT"]),
    "RAMB36E2": (["ADDRARDADDR"], ["DOUTADOUT", "DOUTBDOUT", "DOUTPADOUTP"]),
}


class Cells:
    """Cells of one module, and what nets are called.

    Calling it adds a cell; a net is a name, made when it is first used, ``"0"`` and ``"1"`` are
    constants. A pin that is not given is not connected.
    """

    def __init__(self, inputs=(), outputs=()):
        self.numbers = {}
        self.cells = {}
        self.ports = {
            **{name: ("input", self.bits(name)) for name in inputs},
            **{name: ("output", self.bits(name)) for name in outputs},
        }

    def bits(self, names):
        return [
            name if name in "01" else self.numbers.setdefault(name, len(self.numbers) + 2)
            for name in names.split()
        ]

    def __call__(self, kind, name=None, parameters=None, **pins):
        inputs, outputs = PINS[kind]
        directions = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
        self._add(kind, name, {pin: directions[pin] for pin in pins}, pins, parameters or {})

    def instance(self, kind, name, inside, **pins):
        directions = {port: direction for port, (direction, _) in inside.ports.items()}
        self._add(kind, name, directions, pins, {})

    def _add(self, kind, name, directions, pins, parameters):
        self.cells[name or f"{kind}_{len(self.cells)}"] = {
            "type": kind,
            "parameters": parameters,
            "port_directions": directions,
            "connections": {pin: self.bits(nets) for pin, nets in pins.items()},
        }

    def lut(self, inputs, output):
        """Of as many inputs as there are nets."""
        nets = inputs.split()
        self(f"LUT{len(nets)}", **{f"I{n}": net for n, net in enumerate(nets)}, O=output)

    def registers(self, pairs):
        """Flip-flops: ``"d>q d>q"``."""
        for pair in pairs.split():
            d, q = pair.split(">")
            self("FDRE", f"ff_{q}", C="clk", CE="1", R="0", D=d, Q=q)

    def json(self):
        return {
            "ports": {
                name: {"direction": direction, "bits": bits}
                for name, (direction, bits) in self.ports.items()
            },
            "cells": self.cells,
            "netnames": {
                name: {"hide_name": 0, "bits": [number]} for name, number in self.numbers.items()
            },
        }


def design(**modules):
    return {"modules": {name: cells.json() for name, cells in modules.items()}}
