"""Fault codes, the payload in which a unit reports a fault, and the choice of the first one."""

from amaranth.hdl import Cat, Const, Module, Mux, Value, ValueLike, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import UNITS
from rtl.isa.layouts import NUMBER_BITS


class FaultCode(enum.IntEnum, shape=4):
    """Reasons why the engine stopped; 0 is no fault."""

    NONE = 0
    OPCODE = 1  # unknown opcode, BEGIN or END out of place, bits set that have no meaning
    ADDRESS = 2  # outside a memory region or a scratchpad
    READ = 3  # error response on AXI's read channel
    WRITE = 4  # error response on AXI's write channel
    ENGINE = 5  # the program is for another engine, or of another length
    SEMAPHORE = 6  # overflow, or not back at their credits behind the last image
    WATCHDOG = 7  # no progress
    CHECKSUM = 8  # the program is not what its END says


UNIT_BITS = 3
FETCH = UNITS  # in a fault's ``unit``: the fetcher; the others are isa.Unit


class Fault(data.Struct):
    """A report that the engine must stop, and of the instruction that is to blame."""

    valid: unsigned(1)
    code: FaultCode
    unit: unsigned(UNIT_BITS)
    number: unsigned(NUMBER_BITS)
    latest: unsigned(1)  # the number is not known here: the unit's latest instruction


def fault(valid: ValueLike, code: ValueLike, unit: int, number: ValueLike | None = None) -> Value:
    """Make a value of :class:`Fault`; without ``number`` the unit's latest instruction is meant."""
    latest = number is None
    fields = {
        "valid": valid,
        "code": code,
        "unit": unit,
        "number": 0 if latest else number,
        "latest": latest,
    }
    return Cat(_fit(fields[name], field.width) for name, field in Fault.as_shape())


def _fit(value: ValueLike, width: int) -> Value:
    value = Const(value, width) if isinstance(value, int) else Value.cast(value)
    return Cat(value, Const(0, width))[:width]


class FirstFault(wiring.Component):
    """Keeps, of several faults of one cycle, that of the first source. A register.

    Parameters
    ----------
    sources : int
        Number of sources.

    Members
    -------
    sources : In(Fault) x sources
    o : Out(Fault)
    """

    def __init__(self, sources: int):
        super().__init__({"sources": In(Fault).array(sources), "o": Out(Fault)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = self.sources[-1].as_value()
        for source in reversed(self.sources[:-1]):
            first = Mux(source.valid, source.as_value(), first)
        m.d.sync += self.o.as_value().eq(first)
        return m
