"""Writes to memory: AXI4 channels AW, W and B, for one client."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.lib.counts import count_flags
from rtl.memory import axi
from rtl.memory.bursts import LENGTH_BITS, BurstGenerator
from rtl.memory.clients import WriteClient


class Writer(wiring.Component):
    """Writes memory for the store unit, burst behind burst, and waits for every answer at the end.

    A burst's address is given when the data of the one before have gone, so beats follow each other
    without a pause. At most ``OUTSTANDING`` bursts have no answer yet.

    ``clear`` forgets the command; the burst that has begun is completed without strobes.

    Members
    -------
    store : In(WriteClient)
    clear : In(1)
        Hold until ``quiet``.
    quiet : Out(1)
    moved : Out(1)
    axi : Out(Axi4Write)
    """

    OUTSTANDING = 16

    def __init__(self, config: EngineConfig, attributes: axi.AxiAttributes):
        self.data_bytes = config.memory_bytes
        self.attributes = attributes
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
        generator = BurstGenerator(self.data_bytes)
        m.submodules.generator = ResetInserter(self.clear)(generator)
        burst = generator.bursts
        active = Signal()  # from a command to its last answer
        final, failed = Signal(), Signal()  # its last burst has begun; an answer was an error
        free, begins, answered = Signal(), Signal(), Signal()
        unanswered = count_flags(m, begins, answered, most=self.OUTSTANDING, name="unanswered")
        axi.drive_address(m, bus, "aw", self.data_bytes, self.attributes)
        m.d.comb += [
            generator.command.p.address.eq(command.p.address),
            generator.command.p.bytes.eq(command.p.beats << exact_log2(self.data_bytes)),
            generator.command.valid.eq(command.valid & ~active),
            command.ready.eq(generator.command.ready & ~active & ~self.clear),
            burst.ready.eq(free & (~bus.awvalid | bus.awready) & unanswered.not_full & ~self.clear),
            begins.eq(burst.valid & burst.ready),
            bus.bready.eq(1),
            answered.eq(bus.bvalid),
            self.store.done.eq(answered & final & (unanswered.count == 1)),
            self.store.error.eq(failed | bus.bresp[1]),
            self.quiet.eq(~active),
            self.moved.eq(
                (bus.awvalid & bus.awready) | (bus.wvalid & bus.wready) | (bus.bvalid & bus.bready)
            ),
        ]
        with m.If(command.valid & command.ready):
            m.d.sync += [active.eq(1), final.eq(0), failed.eq(0)]
        with m.Elif(self.store.done | (self.clear & ~unanswered.not_empty)):
            m.d.sync += active.eq(0)
        with m.If(answered & bus.bresp[1]):
            m.d.sync += failed.eq(1)
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.If(begins):
            m.d.sync += [
                bus.awvalid.eq(1),
                bus.awaddr.eq(burst.p.address),
                bus.awlen.eq(burst.p.beats - 1),
                final.eq(burst.p.last),
            ]
        self._send(m, free, begins, burst.p.beats)
        return m

    def _send(self, m: Module, free: Signal, begins: Signal, beats: Signal) -> None:
        """Channel W: a register that is filled from the client, or without strobes.

        ``free``: no burst has begun, or this one's last beat goes into the register.
        """
        bus, given = self.axi, self.store.beats
        ahead = Signal(LENGTH_BITS)  # beats of the burst still to come
        more = Signal()  # whether there are
        room, moves = Signal(), Signal()
        m.d.comb += [
            room.eq((~bus.wvalid | bus.wready) & more),
            given.ready.eq(room & ~self.clear),
            moves.eq(room & (given.valid | self.clear)),
            free.eq(~more | (moves & (ahead == 1))),
        ]
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(moves):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(given.payload),
                bus.wstrb.eq(Mux(self.clear, 0, ~0)),
                bus.wlast.eq(ahead == 1),
                ahead.eq(ahead - 1),
                more.eq(ahead != 1),
            ]
        with m.If(begins):
            m.d.sync += [ahead.eq(beats), more.eq(1)]
