"""The memory regions that a program may touch, and the check of each transfer against them."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import IMAGES_IN_FLIGHT, INSTRUCTIONS, Base, Opcode
from rtl.isa.registers import ADDRESS_BITS
from rtl.memory.ports import array

REGION = data.StructLayout({"base": unsigned(ADDRESS_BITS), "limit": unsigned(ADDRESS_BITS)})
REGIONS = array(len(Base), REGION)  # first byte, and first byte beyond
REGIONS_IN_FLIGHT = array(IMAGES_IN_FLIGHT, REGIONS)  # by parity of the image

_BITS = {field.name: field.bits for field in INSTRUCTIONS[Opcode.LOAD]}
EXTENT = data.StructLayout(
    {name: unsigned(_BITS[name]) for name in ("base", "offset", "bytes")} | {"parity": unsigned(1)}
)
PLACE = data.StructLayout({"address": unsigned(ADDRESS_BITS), "inside": unsigned(1)})


class RegionCheck(wiring.Component):
    """Address of an extent, and whether all its bytes lie inside its region.

    An extent without bytes, or in a region that does not exist, is not inside. ``LATENCY`` cycles,
    one extent at a time.

    Members
    -------
    regions : In(REGIONS_IN_FLIGHT)
    i : In(stream of EXTENT)
    o : Out(stream of PLACE)
    """

    LATENCY = 4

    regions: In(REGIONS_IN_FLIGHT)
    i: In(stream.Signature(EXTENT))
    o: Out(stream.Signature(PLACE))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        extent = Signal(EXTENT)
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
