"""The port between the control unit and each of the units."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, Signature

from rtl.isa.instructions import Opcode
from rtl.isa.layouts import Completion, dispatch_layout
from rtl.lib.streams import connect


class UnitPort(Signature):
    """Instructions of ``opcode`` on their way in, completions on their way out.

    Every unit has these members. With ``selection``, the engine selects tokens.

    Members, as the unit sees them
    ------------------------------
    i : In(stream of dispatch_layout(opcode, selection))
        Instructions, to be completed in this order.
    done : Out(Completion)
        The oldest instruction is complete: its last write has landed.
    idle : Out(1)
        Nothing is in the unit, and its last completion was seen.
    busy : Out(1)
        The unit works in this cycle; only the performance counters look at it.
    """

    def __init__(self, opcode: Opcode, selection: bool = False):
        super().__init__(
            {
                "i": In(stream.Signature(dispatch_layout(opcode, selection))),
                "done": Out(Completion),
                "idle": Out(1),
                "busy": Out(1),
            }
        )


def connect_unit(m: Module, port: wiring.PureInterface, unit: wiring.Component) -> None:
    """Connect the control unit's ``port`` with the members of ``unit`` that are UnitPort's."""
    connect(m, producer=port.i, consumer=unit.i)
    m.d.comb += [port.done.eq(unit.done), port.idle.eq(unit.idle), port.busy.eq(unit.busy)]
