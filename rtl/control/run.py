"""Start, end and reset of a run, as the host sees them."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

CYCLES = unsigned(64)


class Status(data.Struct):
    """The status register, bit by bit."""

    busy: unsigned(1)
    done: unsigned(1)
    error: unsigned(1)
    ignored: unsigned(1)
    resetting: unsigned(1)
    irq: unsigned(1)


class Control(data.Struct):
    """The control register, bit by bit; each acts once."""

    start: unsigned(1)
    reset: unsigned(1)
    irq_clear: unsigned(1)


class SoftReset(wiring.Component):
    """Stretches a request for reset until memory has answered everything. Itself never cleared.

    ``CYCLES`` at least, so that the rigid pipelines, which have no reset, run empty.

    Members
    -------
    request : In(1)
    quiet : In(1)
        Nothing is outstanding.
    clear : Out(1)
    """

    CYCLES = 128

    request: In(1)
    quiet: In(1)
    clear: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(self.CYCLES + 1))
        with m.If(self.request):
            m.d.sync += [self.clear.eq(1), left.eq(self.CYCLES)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Elif(self.quiet):
            m.d.sync += self.clear.eq(0)
        return m


class Run(wiring.Component):
    """Status of a run and its cycles.

    Members
    -------
    control : In(Control)
    start : Out(1)
        A run begins with the next cycle. A register, behind ``control``.
    running, image_done, finished : In(1)
        As of ImageLoop.
    failed : In(1)
        A fault was recorded.
    irq_enable : In(2)
        Bit 0: interrupt at the end of the run; bit 1: at the end of each image, too.
    status : Out(Status)
        Without ``resetting``.
    images_done, cycles, cycles_first, cycles_last : Out
    irq : Out(1)
    """

    control: In(Control)
    start: Out(1)
    running: In(1)
    image_done: In(1)
    finished: In(1)
    failed: In(1)
    irq_enable: In(2)
    status: Out(Status)
    images_done: Out(32)
    cycles: Out(CYCLES)
    cycles_first: Out(CYCLES)
    cycles_last: Out(CYCLES)
    irq: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        status, pending = self.status, Signal()
        busy, done = Signal(), Signal()
        first = Signal()  # no image is done yet
        ends = busy & (self.finished | self.failed)
        m.d.sync += self.start.eq(self.control.start & ~busy & ~self.failed)
        m.d.comb += [
            status.busy.eq(busy),
            status.done.eq(done),
            status.error.eq(self.failed),
            status.irq.eq(pending),
            self.irq.eq(pending & self.irq_enable.any()),
        ]
        with m.If(self.control.start & (busy | self.failed)):
            m.d.sync += status.ignored.eq(1)
        with m.If(self.control.irq_clear):
            m.d.sync += pending.eq(0)
        with m.If(busy):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        with m.If(self.image_done):
            m.d.sync += [
                self.images_done.eq(self.images_done + 1),
                self.cycles_last.eq(self.cycles + 1),
                first.eq(0),
            ]
            with m.If(first):
                m.d.sync += self.cycles_first.eq(self.cycles + 1)
            with m.If(self.irq_enable[1]):
                m.d.sync += pending.eq(1)
        with m.If(ends):
            m.d.sync += [busy.eq(0), done.eq(1), pending.eq(1)]
        with m.If(self.start):
            m.d.sync += [busy.eq(1), done.eq(0), pending.eq(0), first.eq(1)]
            m.d.sync += [
                count.eq(0)
                for count in (self.images_done, self.cycles, self.cycles_first, self.cycles_last)
            ]
        return m
