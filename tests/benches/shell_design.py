"""The engine without its arithmetic: control unit, DMA, load, store, residual. A bench's design."""

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.control.unit import NAMES, ControlUnit
from rtl.isa.unit_port import connect_unit
from rtl.lib.streams import connect
from rtl.memory.axi import Axi4, Axi4Lite, pass_through
from rtl.memory.dma import Dma
from rtl.memory.load.unit import LoadUnit
from rtl.memory.scratchpads.residual import ResidualMemory
from rtl.memory.store import StoreUnit


class Shell(wiring.Component):
    """A program may LOAD to the residual and STORE from it; other units complete nothing.

    Members
    -------
    host : In(Axi4Lite)
    memory : Out(Axi4)
    irq : Out(1)
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {"host": In(Axi4Lite()), "memory": Out(Axi4(config.memory_bytes)), "irq": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = ControlUnit(self.config, faults=3)
        cleared = ResetInserter(control.clear)
        dma, load, store = Dma(self.config), LoadUnit(self.config), StoreUnit(self.config)
        residual = ResidualMemory(self.config)
        m.submodules.control, m.submodules.dma = control, dma
        for name, unit in (("load", load), ("store", store), ("residual", residual)):
            m.submodules[name] = cleared(unit)

        connect(m, producer=wiring.flipped(self.host), consumer=control.host)
        pass_through(m, self.memory, dma.memory)
        connect(m, producer=control.program, consumer=dma.program)
        connect(m, producer=load.reader, consumer=dma.load)
        connect(m, producer=store.writer, consumer=dma.store)
        connect(m, producer=load.residual, consumer=residual.load)
        connect(m, producer=store.residual, consumer=residual.store_read)
        m.d.comb += [
            self.irq.eq(control.irq),
            control.moved.eq(dma.moved),
            control.quiet.eq(dma.quiet),
            dma.clear.eq(control.clear),
            dma.reset.eq(control.clear),
        ]
        for index, unit in enumerate((load, store, residual)):
            m.d.comb += control.faults[index].eq(unit.fault)
        for name, unit in (("load", load), ("store", store)):
            connect_unit(m, getattr(control, name), unit)
            m.d.comb += [
                unit.regions.eq(control.regions),
                getattr(control, f"stall_{name}").eq(unit.stall),
            ]
        for name in NAMES:
            if name not in ("load", "store"):
                m.d.comb += getattr(control, name).idle.eq(1)
        return m
