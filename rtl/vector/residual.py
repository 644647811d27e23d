"""Addition to the residual stream."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.memory.ports import RESIDUAL, array
from rtl.model import numerics

SHIFT_BITS = 4


class ResidualLane(wiring.Component):
    """Add one value to the residual stream.

    ``o = clip(residual + (y << shift), int16)``, ``residual`` 0 unless ``accumulate``

    ``y << shift`` keeps only the bits that can still be brought back into the range: beyond them
    the sum is clipped whatever the residual is.

    Latency ``LATENCY`` cycles from ``y``, no flow control. ``residual`` and ``accumulate`` come
    ``RESIDUAL_LATENCY`` cycles after ``y`` and ``shift``.

    Members
    -------
    y : In(signed(16))
    shift : In(unsigned(4))
    residual : In(signed(16))
    accumulate : In(1)
    o : Out(signed(16))

    Source: docs/numerics.md, section 3. Reference: sim.golden.ops.add_residual.
    """

    LATENCY = 3
    RESIDUAL_LATENCY = 1

    parameters = ()

    y: In(RESIDUAL)
    shift: In(SHIFT_BITS)
    residual: In(RESIDUAL)
    accumulate: In(1)
    o: Out(RESIDUAL)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = numerics.RESIDUAL_BITS
        shifted = Signal(signed(bits + 1), reset_less=True)
        exceeds = Signal(reset_less=True)  # y << shift does not fit ``shifted``
        by_ones = self.y << self.shift[:2]
        with m.Switch(self.shift[2:]):
            for fours in range(1 << SHIFT_BITS - 2):
                above = by_ones[bits - 4 * fours :]
                with m.Case(fours):
                    m.d.sync += [
                        shifted.eq(by_ones << 4 * fours),
                        exceeds.eq(above.any() & ~above.all()),
                    ]

        total = Signal(signed(bits + 2), reset_less=True)
        m.d.sync += total.eq(shifted + Mux(self.accumulate, self.residual, 0))
        negative = delayed(m, self.y[-1], 2, name="negative")
        clipped = delayed(m, exceeds, 1, name="clipped")
        lowest, highest = numerics.code_range(bits, signed=True)
        upper = total[bits - 1 :]
        with m.If(clipped):
            m.d.sync += self.o.eq(Mux(negative, lowest, highest))
        with m.Elif(upper.any() & ~upper.all()):
            m.d.sync += self.o.eq(Mux(total[-1], lowest, highest))
        with m.Else():
            m.d.sync += self.o.eq(total)
        return m


class ResidualAdder(wiring.Component):
    """Lanes of :class:`ResidualLane` side by side, with one ``shift`` and ``accumulate``."""

    LATENCY = ResidualLane.LATENCY
    RESIDUAL_LATENCY = ResidualLane.RESIDUAL_LATENCY

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__(
            {
                "y": In(array(lanes, RESIDUAL)),
                "shift": In(SHIFT_BITS),
                "residual": In(array(lanes, RESIDUAL)),
                "accumulate": In(1),
                "o": Out(array(lanes, RESIDUAL)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index in range(self.lanes):
            lane = ResidualLane()
            m.submodules[f"lane_{index}"] = once(lane, platform)
            m.d.comb += [
                lane.y.eq(self.y[index]),
                lane.shift.eq(self.shift),
                lane.residual.eq(self.residual[index]),
                lane.accumulate.eq(self.accumulate),
                self.o[index].eq(lane.o),
            ]
        return m
