"""A run as the host sees it: start, end, reset; first fault, watchdog, counters of cycles."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import FETCH, Fault, FaultCode, fault
from rtl.isa.instructions import UNITS
from rtl.isa.layouts import NUMBER_BITS
from rtl.isa.registers import COUNTER_BITS, EVENTS, STALLS, WATCHDOG_BITS
from rtl.lib.pipeline import COPY

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


class RunStatus(wiring.Component):
    """Status of a run and its cycles.

    Members
    -------
    control : In(Control)
    start : Out(1)
        A run begins with the next cycle. A register, behind ``control``.
    running, image_done, finished : In(1)
        Outputs of ImageLoop.
    failed : In(1)
        A fault was recorded.
    irq_enable : In(2)
        Bit 0: interrupt at the end of the run; bit 1: at the end of each image, too.
    status : Out(Status)
        The status, but for ``resetting``.
    images_done, cycles, cycles_first, cycles_last : Out
    irq : Out(1)
        A register: a cycle after ``status.irq``.
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
        ]
        m.d.sync += self.irq.eq(pending & self.irq_enable.any())
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


class FaultRecord(wiring.Component):
    """Keeps the first fault until reset.

    Members
    -------
    i : In(Fault)
    latest : In(NUMBER) x UNITS
        Instruction that each unit took last.
    o : Out(Fault)
        ``valid`` stays set.
    """

    i: In(Fault)
    latest: In(unsigned(NUMBER_BITS)).array(UNITS)
    o: Out(Fault)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.i.valid & ~self.o.valid):
            m.d.sync += self.o.eq(self.i)
            with m.If(self.i.latest), m.Switch(self.i.unit):
                for unit, number in enumerate(self.latest):
                    with m.Case(unit):
                        m.d.sync += self.o.number.eq(number)
        return m


PROGRESS_EVENTS = 2 * UNITS + 2


class Watchdog(wiring.Component):
    """Reports a fault after ``cycles`` cycles without progress in a run; 0 is never.

    ``fault`` comes ``LATENCY`` cycles after the last of them.

    Members
    -------
    cycles : In(32)
    running : In(1)
    progress : In(PROGRESS_EVENTS)
        Instructions that started or were completed, what moved on a bus; any of them counts.
    missing : In(UNITS) x UNITS
        Producers that each unit waits for.
    heads : In(NUMBER) x UNITS
        Oldest instruction of each unit that has not started.
    waits : Out(UNITS) x UNITS
        ``missing`` when the watchdog expired.
    fault : Out(Fault)
        Names the first unit that waits and its oldest instruction; the fetcher if none waits.
    """

    LATENCY = 3

    cycles: In(WATCHDOG_BITS)
    running: In(1)
    progress: In(PROGRESS_EVENTS)
    missing: In(unsigned(UNITS)).array(UNITS)
    heads: In(unsigned(NUMBER_BITS)).array(UNITS)
    waits: Out(unsigned(UNITS)).array(UNITS)
    fault: Out(Fault)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watches, expires = Signal(), Signal()
        progressed = Signal.like(self.progress)
        left = Signal(signed(WATCHDOG_BITS + 1))  # cycles that may still pass, less 1
        waits = Cat(missing.any() for missing in self.missing)
        waiting = Signal(UNITS)
        unit, number = FETCH, 0
        for index in reversed(range(UNITS)):
            unit = Mux(waiting[index], index, unit)
            number = Mux(waiting[index], self.heads[index], number)
        m.d.comb += expires.eq(watches & (left < 0))
        m.d.sync += [
            watches.eq(self.running & self.cycles.any()),
            progressed.eq(self.progress),
            left.eq(Mux(~watches | progressed.any() | expires, self.cycles, left) - 1),
            waiting.eq(waits),
            self.fault.eq(fault(expires, FaultCode.WATCHDOG, unit, number)),
        ]
        with m.If(expires):
            m.d.sync += [kept.eq(now) for kept, now in zip(self.waits, self.missing, strict=True)]
        return m


class Activity(data.Struct):
    """One cycle of a unit, a bit for each of its counters, in the order of ``EVENTS``."""

    busy: unsigned(1)
    waits: unsigned(UNITS)  # its next instruction waits for a producer: the first one missing
    starved: unsigned(1)  # its queue is empty
    stalls: unsigned(STALLS)  # it stands still, by cause


class Counters(wiring.Component):
    """Counts each bit of each unit's activity while the engine runs.

    Counters are zero from the second cycle of a reset, and two cycles after ``start``.

    Members
    -------
    activities : In(Activity) x UNITS
        Activity of each unit in the cycle before.
    start : In(1)
        Back to zero.
    running : In(1)
    counts : Out(32) x UNITS x len(EVENTS)
    """

    activities: In(Activity).array(UNITS)
    start: In(1)
    running: In(1)
    counts: Out(COUNTER_BITS).array(UNITS, len(EVENTS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        assert Activity.as_shape().size == len(EVENTS)
        ran = Signal()
        m.d.sync += ran.eq(self.running)
        for unit, activity in enumerate(self.activities):
            # High in reset as well: one register for both, and one for each unit.
            zero = Signal(init=1, name=f"zero_{unit}", attrs=COPY)
            m.d.sync += zero.eq(self.start)
            for event, total in enumerate(self.counts[unit]):
                count = Signal(COUNTER_BITS, name=f"count_{unit}_{event}", reset_less=True)
                m.d.comb += total.eq(count)
                m.d.sync += count.eq(count + (activity.as_value()[event] & ran))
                with m.If(zero):
                    m.d.sync += count.eq(0)
        return m
