"""Writes to memory: AXI4 channels AW, W and B, for one client."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.memory import axi
from rtl.memory.bursts import LENGTH_BITS, burst_length, next_block
from rtl.memory.clients import WriteClient


class Writer(wiring.Component):
    """Writes memory for the store unit, one burst at a time, and waits for every answer.

    ``clear`` forgets the command; a burst that has begun is completed without strobes.

    Members
    -------
    store : In(WriteClient)
    clear : In(1)
    quiet : Out(1)
    moved : Out(1)
    axi : Out(Axi4Write)
    """

    def __init__(self, config: EngineConfig):
        self.data_bytes = config.memory_bytes
        super().__init__(
            {
                "store": In(WriteClient(self.data_bytes)),
                "clear": In(1),
                "quiet": Out(1),
                "moved": Out(1),
                "axi": Out(axi.Axi4Write(self.data_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, command = self.axi, self.store.command
        beat_bits = exact_log2(self.data_bytes)
        left = Signal(16)  # beats of the command that no burst holds yet
        ahead = Signal(LENGTH_BITS)  # beats of the burst still to come
        aborted = Signal()
        failed = Signal()
        axi.drive_address(m, bus, "aw", self.data_bytes)
        m.d.comb += self.moved.eq(
            (bus.awvalid & bus.awready) | (bus.wvalid & bus.wready) | (bus.bvalid & bus.bready)
        )
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [command.ready.eq(~self.clear), self.quiet.eq(1)]
                m.d.sync += [aborted.eq(0), failed.eq(0)]
                with m.If(command.valid & ~self.clear):
                    m.d.sync += [left.eq(command.p.beats), bus.awaddr.eq(command.p.address)]
                    m.next = "BURST"
            with m.State("BURST"):
                length, _ = burst_length(bus.awaddr, left, beat_bits)
                m.d.sync += [
                    bus.awlen.eq(length - 1),
                    bus.awvalid.eq(1),
                    ahead.eq(length),
                    left.eq(left - length),
                ]
                m.next = "DATA"
            with m.State("DATA"):
                self._send(m, ahead, aborted)
                with m.If(~bus.awvalid & ~bus.wvalid & (ahead == 0)):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += bus.bready.eq(1)
                with m.If(bus.bvalid):
                    m.d.sync += [
                        failed.eq(failed | bus.bresp[1]),
                        bus.awaddr.eq(next_block(bus.awaddr, beat_bits)),
                    ]
                    m.next = "BURST"
                    with m.If((left == 0) | aborted | self.clear):
                        m.d.comb += [
                            self.store.done.eq(~aborted),
                            self.store.error.eq(failed | bus.bresp[1]),
                        ]
                        m.next = "IDLE"
        with m.If(self.clear):
            m.d.sync += aborted.eq(1)
        return m

    def _send(self, m: Module, ahead: object, aborted: object) -> None:
        """Channel W: a register that is filled from the client, or without strobes."""
        bus, beats = self.axi, self.store.beats
        stopped = aborted | self.clear
        free = ~bus.wvalid | bus.wready
        m.d.comb += beats.ready.eq(free & (ahead != 0) & ~stopped)
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(free & (ahead != 0) & (beats.valid | stopped)):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(beats.payload),
                bus.wstrb.eq(Mux(stopped, 0, ~0)),
                bus.wlast.eq(ahead == 1),
                ahead.eq(ahead - 1),
            ]
