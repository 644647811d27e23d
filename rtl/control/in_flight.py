"""Which image is done: counts what was decoded for each unit and is not complete."""

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import IMAGES_IN_FLIGHT, UNITS
from rtl.lib.counts import count_flags


class Outstanding(wiring.Component):
    """Instructions of one unit that were decoded and are not complete, by the parity of the image.

    Every unit completes in order, so a completion is the older image's as long as that has any.

    Parameters
    ----------
    most : int
        Instructions that may be outstanding.

    Members
    -------
    decoded, completed : In(1)
    parity : In(1)
        Of the instruction that is decoded.
    older : In(1)
        Parity of the image that will be done next.
    none : Out(1)
        None of the older image is outstanding.
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
        Of the image that is decoded.
    ended : In(1)
        END was decoded.
    halt : In(1)
        Nothing is done any more.
    image_done : Out(1)
        For a cycle.
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
