"""Verilog of an engine, with every repeated block emitted once and instantiated.

Amaranth elaborates each submodule on its own, so an array of a thousand equal tiles would become a
thousand modules. A composite wraps a block that repeats in :func:`once`; when Verilog is made, the
first of its kind is converted and the others become instances of that module. Anywhere else, in
Amaranth's simulator above all, :func:`once` changes nothing.

A component with a variant made of a device's own primitives asks :func:`primitives` for them.
"""

import gc
import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Fragment, Instance, ResetSignal, Value, _nir
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._ir import PortDirection, build_netlist
from amaranth.lib import wiring

from rtl.lib.devices import Primitives

if importlib.metadata.version("amaranth") != "0.5.10":
    raise ImportError(
        "rtl.lib.emit uses parts of amaranth 0.5.10 that are not its public API; found "
        f"{importlib.metadata.version('amaranth')}: install 0.5.10, or adapt this file alone"
    )

_DIRECTIONS = {wiring.In: PortDirection.Input, wiring.Out: PortDirection.Output}


class Emitter:
    """A stand-in for Amaranth's platform that collects the modules that are emitted once.

    Parameters
    ----------
    primitives : Primitives, optional
        Emit what these devices' primitives are for as instances of them. Values and cycles are
        the same as without, where Verilog is plain and tools infer what they can.
    """

    def __init__(self, primitives: Primitives | None = None) -> None:
        self.primitives = primitives
        self.modules: dict[str, str] = {}

    def instance(self, component: wiring.Component) -> Instance:
        """Instantiate ``component``'s module, wired to the component's own ports."""
        name = _module_name(component)
        if name not in self.modules:
            self.modules[name] = ""  # a name is taken before its body is known: no recursion
            self.modules[name] = _convert(component, name, self, top=False)
        ports = {
            f"{'i' if member.flow is wiring.In else 'o'}_{'__'.join(map(str, path))}": value
            for path, member, value in component.signature.flatten(component)
        }
        inputs = _inputs(self.modules[name], name)
        ports |= {"i_clk": ClockSignal()} if "clk" in inputs else {}
        ports |= {"i_rst": ResetSignal()} if "rst" in inputs else {}
        mark_used(component)  # its twin was elaborated in its place
        return Instance(name, **ports)


def once(component: wiring.Component, platform: object) -> Any:
    """``component`` itself, or, when Verilog is being made, an instance of its shared module.

    Two components are of one kind if they have the same class and equal constructor arguments,
    which the component states in ``parameters`` (a tuple of numbers, strings, shapes).
    """
    return platform.instance(component) if isinstance(platform, Emitter) else component


def primitives(platform: object) -> Primitives | None:
    """The primitives that a component may be made of; None in Amaranth's simulator."""
    return platform.primitives if isinstance(platform, Emitter) else None


def mark_used(component: wiring.Component) -> None:
    """Keep Amaranth from warning that ``component`` itself is never elaborated."""
    component._MustUse__used = True


def _module_name(component: wiring.Component) -> str:
    parameters = "_".join(str(value) for value in component.parameters)
    return re.sub(r"\W+", "_", f"{type(component).__name__}_{parameters}").lower().strip("_")


def _inputs(text: str, name: str) -> set[str]:
    """Names of the inputs of module ``name`` in RTLIL ``text``."""
    body = text[text.index(f"module \\{name}\n") :]
    return set(re.findall(r"^\s*wire width \d+ input \d+\s+(?:signed )?\\(\S+)$", body, re.M))


class _ModuleEmitter(rtlil.ModuleEmitter):
    """Amaranth's, except for two things.

    A register whose signal has the attribute ``keep`` has it too: Amaranth gives it to the wire
    alone, and Yosys merges equal registers whatever their wires say.

    A memory without content takes neither time nor text. For the 20 Mbit of the ZCU102 engine,
    Amaranth would make a string of zeros, bit by bit. The device clears its memories by itself, and
    :func:`rtl.build.verilog.emit_verilog` says so in two lines for simulators.
    """

    def emit_flip_flop(self, cell_idx: int, cell: _nir.FlipFlop) -> None:
        super().emit_flip_flop(cell_idx, cell)
        if "keep" in cell.attributes:
            register = next(reversed(self.builder.contents.values()))
            register.attributes["keep"] = cell.attributes["keep"]

    def emit_memory(self, cell_idx: int, cell: _nir.Memory) -> None:
        if any(cell.init):
            super().emit_memory(cell_idx, cell)


def _convert(component: wiring.Component, name: str, emitter: Emitter, *, top: bool) -> str:
    """RTLIL of one component: ``rtlil.convert`` with :class:`_ModuleEmitter`."""
    ports = {
        "__".join(map(str, path)): (Value.cast(value), _DIRECTIONS[member.flow])
        for path, member, value in component.signature.flatten(component)
    }
    netlist = build_netlist(Fragment.get(component, emitter), ports=ports, name=name)
    design, names = rtlil.Design(emit_src=False), SignalDict()
    empty = rtlil.EmptyModuleChecker(netlist)
    for index, module in enumerate(netlist.modules):
        if not empty.is_empty(index):
            builder = design.module(".".join(module.name))
            if index == 0 and top:
                builder.attribute("top", 1)
            _ModuleEmitter(builder, netlist, module, names, empty_checker=empty).emit()
    return str(design)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Elaboration makes millions of objects that live to its end: collecting halves its speed."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def emit_rtlil(component: wiring.Component, name: str, primitives: Primitives | None = None) -> str:
    """RTLIL text of ``component`` as module ``name``, shared modules first."""
    emitter = Emitter(primitives)
    with _without_collector():
        top = _convert(component, name, emitter, top=True)
    return "\n".join([*emitter.modules.values(), top])
