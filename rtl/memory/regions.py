"""The memory regions that a program may touch, and the check of each transfer against them."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import IMAGES_IN_FLIGHT, INSTRUCTIONS, Base, Opcode
from rtl.isa.registers import ADDRESS_BITS
from rtl.memory.ports import array


class Region(data.Struct):
    """A part of memory that programs may touch."""

    base: unsigned(ADDRESS_BITS)  # first byte
    limit: unsigned(ADDRESS_BITS)  # first byte beyond


REGIONS = array(len(Base), Region)
REGIONS_IN_FLIGHT = array(IMAGES_IN_FLIGHT, REGIONS)  # by parity of the image

_BITS = {field.name: field.bits for field in INSTRUCTIONS[Opcode.LOAD]}


class Extent(data.Struct):
    """A transfer as its instruction states it."""

    base: unsigned(_BITS["base"])
    offset: unsigned(_BITS["offset"])
    bytes: unsigned(_BITS["bytes"])
    parity: unsigned(1)  # of its image


class MemoryPlace(data.Struct):
    """The place of a transfer in memory."""

    address: unsigned(ADDRESS_BITS)
    inside: unsigned(1)  # all its bytes lie in its region


class RegionCheck(wiring.Component):
    """Address of an extent, and whether all its bytes lie inside its region.

    An extent without bytes, or in a region that does not exist, is not inside. ``LATENCY`` cycles,
    one extent at a time.

    Members
    -------
    regions : In(REGIONS_IN_FLIGHT)
    i : In(stream of Extent)
    o : Out(stream of MemoryPlace)
    """

    LATENCY = 4

    regions: In(REGIONS_IN_FLIGHT)
    i: In(stream.Signature(Extent))
    o: Out(stream.Signature(MemoryPlace))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        extent = Signal(Extent)
        address = Signal(ADDRESS_BITS + 1)
        end = Signal(ADDRESS_BITS + 2)
        limit = Signal(ADDRESS_BITS)
        plausible = Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += extent.eq(self.i.p)
                with m.If(self.i.valid):
                    m.next = "START"
            with m.State("START"):
                region = self.regions[extent.parity][Mux(extent.base < len(Base), extent.base, 0)]
                m.d.sync += [
                    address.eq(region.base + extent.offset),
                    limit.eq(region.limit),
                    plausible.eq((extent.base < len(Base)) & (extent.bytes != 0)),
                ]
                m.next = "END"
            with m.State("END"):
                m.d.sync += end.eq(address + extent.bytes)
                m.next = "LIMIT"
            with m.State("LIMIT"):
                m.d.sync += self.o.p.inside.eq(plausible & (end <= limit))
                m.next = "PLACE"
            with m.State("PLACE"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.address.eq(address)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
