"""A board that is routed within a minute or two: the serial bridge, memory, a few registers.

It has a cell of every kind that an engine has: look-up tables, carries, registers, LUT RAM, block
RAM, a multiplier, a phase-locked loop.
"""

from amaranth.hdl import ClockDomain, Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from boards.host.frames import LIGHTS_BITS
from rtl.lib.streams import connect
from rtl.memory.axi import Axi4Lite
from rtl.soc.bridge import SerialBridge
from rtl.soc.memory import BlockMemory
from rtl.soc.ulx3s import CLOCK_HZ, PhaseLockedLoop

FACTORS, PRODUCT, TABLE = (0x00, 0x04), (0x08, 0x0C), 0x40  # offsets
FACTOR_BITS, TABLE_WORDS = 18, 16
MEMORY_WORDS = 2048 + 1024  # two banks


class ProductRegisters(wiring.Component):
    """Two factors to write, their product to read, and a table of 16 words."""

    bus: In(Axi4Lite())

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        m.submodules.table = table = memory.Memory(shape=32, depth=TABLE_WORDS, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        factors = [Signal(signed(FACTOR_BITS), name=f"factor_{i}") for i in range(2)]
        product = Signal(signed(2 * FACTOR_BITS))
        m.d.sync += [product.eq(factors[0] * factors[1]), bus.bvalid.eq(0), bus.rvalid.eq(0)]
        m.d.comb += [
            bus.awready.eq(bus.awvalid & bus.wvalid & ~bus.bvalid),
            bus.wready.eq(bus.awready),
            bus.arready.eq(bus.arvalid & ~bus.rvalid),
            write.en.eq(bus.awready & bus.awaddr[6]),
            write.addr.eq(bus.awaddr[2:6]),
            write.data.eq(bus.wdata),
            read.addr.eq(bus.araddr[2:6]),
        ]
        with m.If(bus.awready):
            m.d.sync += bus.bvalid.eq(1)
            for offset, factor in zip(FACTORS, factors, strict=True):
                with m.If(bus.awaddr == offset):
                    m.d.sync += factor.eq(bus.wdata)
        with m.If(bus.arready):
            part = Mux(bus.araddr[2], product[32:], product[:32])
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(Mux(bus.araddr[6], read.data, part))]
        return m


class SmallBoard(wiring.Component):
    """Everything between the ULX3S' pins but an engine."""

    oscillator: In(1)
    rx: In(1)
    tx: Out(1)
    wifi_gpio0: Out(1)
    lights: Out(LIGHTS_BITS)

    def __init__(self, init):
        self.content = init
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = clock = ClockDomain()
        m.submodules.pll = pll = PhaseLockedLoop()
        m.submodules.reset = ResetSynchronizer(~pll.locked)
        m.submodules.bridge = bridge = SerialBridge(CLOCK_HZ, MEMORY_WORDS)
        m.submodules.memory = words = BlockMemory(MEMORY_WORDS, self.content)
        m.submodules.registers = registers = ProductRegisters()
        connect(m, producer=bridge.memory, consumer=words.port)
        connect(m, producer=bridge.registers, consumer=registers.bus)
        m.d.comb += [
            pll.i.eq(self.oscillator),
            clock.clk.eq(pll.o),
            bridge.rx.eq(self.rx),
            self.tx.eq(bridge.tx),
            self.wifi_gpio0.eq(1),
            self.lights.eq(bridge.lights),
        ]
        return m
