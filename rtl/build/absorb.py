"""Flip-flops behind block RAMs and multipliers of an ECP5, taken into these blocks.

Yosys leaves them outside, where a path begins with 5.8 or 3.9 ns of the block. Inside, it begins
with 1.0 or 0.7 ns.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LOW, HIGH = ["0"], ["1"]
REGISTER = ("TRELLIS_FF", "DI")
WIDE = 36  # bits of a block RAM's ports that are halves of one


@dataclass(frozen=True)
class OutputPort:
    """Outputs of a block that have a register in common.

    Parameters
    ----------
    pins : tuple of str
        The outputs.
    clock : str or None
        The block's pin with the clock of the port, None if the register brings its own.
    enable : str or None
        The pin of the register's enable; None if it has to be enabled always.
    parameters : dict of str to str
        They switch the register on.
    connections : dict of str to str
        Pins that get a net of the flip-flops: its pin.
    """

    pins: tuple[str, ...]
    clock: str | None
    enable: str | None
    parameters: dict[str, str]
    connections: dict[str, str] = field(default_factory=dict)


PORTS = {
    "DP16KD": tuple(
        OutputPort(
            tuple(f"DO{port}{bit}" for bit in range(18)),
            clock=f"CLK{port}",
            enable=f"OCE{port}",
            parameters={f"REGMODE_{port}": "OUTREG"},
        )
        for port in "AB"
    ),
    # Multipliers of a tile share enables and resets, so theirs are constant.
    "MULT18X18D": (
        OutputPort(
            tuple(f"P{bit}" for bit in range(36)),
            clock=None,
            enable=None,
            parameters={
                "REG_OUTPUT_CLK": "CLK0",
                "REG_OUTPUT_CE": "CE0",
                "REG_OUTPUT_RST": "RST0",
            },
            connections={"CLK0": "CLK"},
        ),
    ),
}
CONSTANT = {"MULT18X18D": {"CE0": HIGH, "RST0": LOW}}


@dataclass(frozen=True)
class Absorbed:
    """Result of the pass.

    Parameters
    ----------
    ports : dict of str to int
        Ports that have a register now, by the kind of block.
    flip_flops : int
        How many are left out.
    kept : dict of str to dict of str to int
        Ports in use that stay without, by kind and reason.
    """

    ports: dict[str, int]
    flip_flops: int
    kept: dict[str, dict[str, int]]


def absorb_registers(netlist: dict[str, Any]) -> Absorbed:
    """Take flip-flops into the blocks that they directly follow, in a netlist of Yosys'.

    That is where each output in use goes to one flip-flop and nowhere else, and these have the same
    clock and enable, no reset, and start at 0. Values stay the same in every cycle.
    """
    module = max(netlist["modules"].values(), key=lambda each: len(each["cells"]))
    cells, loads = module["cells"], _loads(module)
    ports, left_out, kept = Counter(), 0, defaultdict(Counter)
    for cell in list(cells.values()):
        kind, nets = cell["type"], cell["connections"]
        used = []
        for port in PORTS.get(kind, ()):
            users = {pin: loads[nets[pin][0]] for pin in port.pins if pin in nets}
            users = {pin: found for pin, found in users.items() if found}
            if users:
                used.append((port, users, _objection(cell, port, users, cells)))
        halves = _halves_differ(cell, used, cells)
        for port, users, objection in used:
            reason = objection or halves
            if reason:
                kept[kind][reason] += 1
                continue
            ports[kind] += 1
            left_out += len(users)
            _take_in(cell, port, {pin: cells.pop(found[0][0]) for pin, found in users.items()})
    return Absorbed(dict(ports), left_out, {kind: dict(found) for kind, found in kept.items()})


def absorb_in_file(path: Path) -> dict:
    """Do so in a file; return what was done as part of a JSON report."""
    netlist = json.loads(path.read_text())
    absorbed = absorb_registers(netlist)
    path.write_text(json.dumps(netlist))
    return asdict(absorbed)


def _loads(module: dict) -> dict[Any, list[tuple[str, str]]]:
    """The loads of each net, as cell (or port of the module) and pin."""
    loads = defaultdict(list)
    for name, pin, bits in _ends(module):
        for bit in bits:
            loads[bit].append((name, pin))
    return loads


def _ends(module: dict) -> Iterator[tuple[str, str, list]]:
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                yield name, pin, bits
    for name, port in module["ports"].items():
        yield name, "", port["bits"]


def _objection(cell: dict, port: OutputPort, users: dict, cells: dict) -> str | None:
    """Reason why a port's flip-flops cannot be taken in; None if they can."""
    if any(cell["parameters"].get(name) == value for name, value in port.parameters.items()):
        return "has one"
    if any(len(found) > 1 for found in users.values()):
        return "several loads"
    follow = [(cells.get(name), pin) for ((name, pin),) in users.values()]
    registers = [each for each, pin in follow if each and (each["type"], pin) == REGISTER]
    if len(registers) < len(follow):
        return "logic"
    if any(each["connections"].get("LSR", LOW) != LOW for each in registers):
        return "reset"
    wanted = {(str(each["connections"]["CLK"]), str(_enable(each))) for each in registers}
    modes = {each["parameters"].get("CLKMUX", "CLK") for each in registers}
    modes |= {each["parameters"].get("REGSET", "RESET") for each in registers}
    if len(wanted) > 1 or modes != {"CLK", "RESET"}:
        return "registers differ"
    first = registers[0]
    if port.clock and (
        cell["connections"][port.clock] != first["connections"]["CLK"]
        or cell["parameters"].get(f"{port.clock}MUX", port.clock) != port.clock
    ):
        return "clock"
    if port.enable is None and _enable(first) != HIGH:
        return "enable"
    return None


def _halves_differ(cell: dict, used: list[tuple], cells: dict) -> str | None:
    """Reason to leave both ports of a block RAM of 36 bits as they are, or None.

    They are halves of one port, which may share what enables their registers.
    """
    if int(cell["parameters"].get("DATA_WIDTH_A", "0"), 2) < WIDE or len(used) < 2:
        return None
    if any(reason for _, _, reason in used):
        return "other half"
    enables = {str(_enable(cells[name])) for _, users, _ in used for ((name, _),) in users.values()}
    return None if len(enables) == 1 else "halves differ"


def _enable(register: dict) -> list:
    """The net that enables a flip-flop, behind "INV" if the flip-flop inverts it."""
    mode = register["parameters"].get("CEMUX", "1").strip()
    if mode in ("0", "1"):
        return [mode]
    net = register["connections"].get("CE", HIGH)
    return net if mode == "CE" else [mode, *net]


def _take_in(cell: dict, port: OutputPort, registers: dict[str, dict]) -> None:
    """Switch a port's register on, and drive what the flip-flops drove."""
    nets = cell["connections"]
    for pin, register in registers.items():
        nets[pin] = register["connections"]["Q"]
    first = next(iter(registers.values()))
    cell["parameters"].update(port.parameters)
    if port.enable:
        *inverted, net = _enable(first)
        nets[port.enable] = [net]
        cell["parameters"][f"{port.enable}MUX"] = "INV" if inverted else port.enable
    for pin, source in port.connections.items():
        nets[pin] = first["connections"][source]
        cell["port_directions"][pin] = "input"
    for pin, level in CONSTANT.get(cell["type"], {}).items():
        nets[pin] = level
        cell["port_directions"][pin] = "input"
