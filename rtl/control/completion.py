"""Completion: of each instruction, in order, and of each image."""

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import IMAGES_IN_FLIGHT, UNITS
from rtl.isa.layouts import NUMBER_BITS, Completion
from rtl.lib.counts import count_flags
from rtl.lib.streams import Queue


class PendingCompletion(data.Struct):
    """An instruction under way, as its completion will name it."""

    signal: unsigned(UNITS)
    number: unsigned(NUMBER_BITS)


class Retire(wiring.Component):
    """Remember who is to be signalled until each of an instruction's last writes has landed.

    The oldest instruction completes once every one of ``parts`` has reported an end that no older
    instruction has used up. Parts may run ahead of each other. ``done`` pulses ``LATENCY`` cycles
    after the last report.

    Parameters
    ----------
    parts : int
        Number of ends that belong to each instruction.

    Members
    -------
    i : In(stream.Signature(PendingCompletion))
        An instruction starts; refused while ``DEPTH`` are under way.
    ended : In(parts)
    done : Out(Completion)
    idle : Out(1)
        No instruction is under way and none completes in this cycle.
    """

    LATENCY = 2
    DEPTH = 8

    def __init__(self, parts: int):
        self.parts = parts
        signature = {"i": In(stream.Signature(PendingCompletion)), "ended": In(parts)}
        super().__init__(signature | {"done": Out(Completion), "idle": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.started = started = Queue(PendingCompletion, self.DEPTH)
        starts, complete = Signal(), Signal()
        under_way = count_flags(m, starts, complete, most=self.DEPTH, name="under_way")
        ends = [
            count_flags(m, ended, complete, most=self.DEPTH, name=f"ends_{part}")
            for part, ended in enumerate(self.ended)
        ]
        m.d.comb += [
            starts.eq(self.i.valid & self.i.ready),
            complete.eq(Cat(end.not_empty for end in ends).all()),
            started.i.payload.eq(self.i.payload),
            started.i.valid.eq(starts),
            started.o.ready.eq(complete),
            self.i.ready.eq(under_way.not_full),
            self.idle.eq(~under_way.not_empty & ~self.done.valid),
        ]
        m.d.sync += [
            self.done.valid.eq(complete),
            self.done.signal.eq(started.o.payload.signal),
            self.done.number.eq(started.o.payload.number),
        ]
        return m


class Outstanding(wiring.Component):
    """Instructions of one unit that were decoded and are not complete, by the parity of the image.

    Every unit completes in order, so a completion is the older image's as long as that has any.

    Parameters
    ----------
    most : int
        Highest number of instructions outstanding.

    Members
    -------
    decoded, completed : In(1)
    parity : In(1)
        Parity of the image whose instruction is decoded.
    older : In(1)
        Parity of the image that will be done next.
    none : Out(1)
        No instruction of the older image is outstanding.
    """

    def __init__(self, most: int):
        self.most = most
        super().__init__(
            {
                "decoded": In(1),
                "completed": In(1),
                "parity": In(1),
                "older": In(1),
                "none": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        whose = Mux(self.none, ~self.older, self.older)
        counted = []
        for parity in range(IMAGES_IN_FLIGHT):
            more = self.decoded & (self.parity == parity)
            fewer = self.completed & (whose == parity)
            image = count_flags(m, more, fewer, most=self.most, name=f"image_{parity}")
            m.d.sync += [Assert(~more | image.not_full), Assert(~fewer | image.not_empty)]
            counted.append(image)
        m.d.comb += self.none.eq(~Array(image.not_empty for image in counted)[self.older])
        return m


class InFlight(wiring.Component):
    """Says when the oldest image in flight is done.

    That is when its END was decoded and every unit has completed all of its instructions;
    ``SETTLE`` cycles later, so that a fault of the last one comes first.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    decoded, completed : In(UNITS)
        Units that an instruction was decoded for, that completed one.
    parity : In(1)
        Parity of the image that is decoded.
    ended : In(1)
        END was decoded.
    halt : In(1)
        Nothing is done any more.
    image_done : Out(1)
        High for a cycle when the oldest image is done.
    """

    SETTLE = 8  # from the last completion
    MOST_IN_UNIT = 32  # instructions that a unit has taken and not completed: more than any has

    def __init__(self, config: EngineConfig):
        self.most = config.queue_depth + self.MOST_IN_UNIT
        super().__init__(
            {
                "decoded": In(UNITS),
                "completed": In(UNITS),
                "parity": In(1),
                "ended": In(1),
                "halt": In(1),
                "image_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The count, ``complete`` and ``image_done`` take a cycle each.
        settling = self.SETTLE - 3
        older, left = Signal(), Signal(range(settling + 1), init=settling)
        has_ended = Array(Signal(name=f"ended_{i}") for i in range(IMAGES_IN_FLIGHT))
        none = []
        for unit in range(UNITS):
            m.submodules[f"unit_{unit}"] = outstanding = Outstanding(self.most)
            none.append(outstanding.none)
            m.d.comb += [
                outstanding.decoded.eq(self.decoded[unit]),
                outstanding.completed.eq(self.completed[unit]),
                outstanding.parity.eq(self.parity),
                outstanding.older.eq(older),
            ]
        complete = Signal()
        m.d.sync += [
            complete.eq(has_ended[older] & Cat(none).all() & ~self.halt),
            self.image_done.eq(complete & (left == 0)),
        ]
        with m.If(self.ended):
            m.d.sync += has_ended[self.parity].eq(1)
        with m.If(complete):
            m.d.sync += left.eq(left - 1)
        with m.If(complete & (left == 0)):
            m.d.sync += [
                complete.eq(0),  # it is still the older image's
                has_ended[older].eq(0),
                older.eq(~older),
                left.eq(settling),
            ]
        return m
