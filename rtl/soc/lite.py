"""A manager on AXI4-Lite for one access at a time."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.registers import LITE_ADDRESS_BITS, WORD_BITS
from rtl.memory.axi import LITE_BYTES, Axi4Lite


class LiteAccess(data.Struct):
    """A read or a write of a register."""

    write: unsigned(1)
    address: unsigned(LITE_ADDRESS_BITS)
    value: unsigned(WORD_BITS)


class LiteManager(wiring.Component):
    """Accesses from a stream to the bus.

    Members
    -------
    i : In(stream of LiteAccess)
        Taken in the cycle in which it is answered; constant until then.
    value : Out(32)
        The word that was read, in that cycle.
    error : Out(1)
        The bus refused the access, in that cycle.
    bus : Out(Axi4Lite)
    """

    i: In(stream.Signature(LiteAccess))
    value: Out(WORD_BITS)
    error: Out(1)
    bus: Out(Axi4Lite())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, access = self.bus, self.i.p
        sent = {name: Signal(name=f"{name}_sent") for name in ("aw", "w", "ar")}
        wanted = {"aw": access.write, "w": access.write, "ar": ~access.write}
        for name, done in sent.items():
            valid, ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
            m.d.comb += valid.eq(self.i.valid & wanted[name] & ~done)
            with m.If(self.i.ready):
                m.d.sync += done.eq(0)
            with m.Elif(valid & ready):
                m.d.sync += done.eq(1)
        m.d.comb += [
            bus.awaddr.eq(access.address),
            bus.araddr.eq(access.address),
            bus.wdata.eq(access.value),
            bus.wstrb.eq((1 << LITE_BYTES) - 1),
            bus.bready.eq(1),
            bus.rready.eq(1),
            self.i.ready.eq(bus.bvalid | bus.rvalid),
            self.value.eq(bus.rdata),
            self.error.eq((bus.bvalid & bus.bresp[1]) | (bus.rvalid & bus.rresp[1])),
        ]
        return m
