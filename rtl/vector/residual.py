"""Addition to the residual stream."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl import numerics
from rtl.emit import once
from rtl.memory.ports import RESIDUAL, array

SHIFT_BITS = 4


class ResidualLane(wiring.Component):
    """``o = clip(residual + (y << shift), int16)``, ``residual`` 0 unless ``accumulate``.

    Free running; ``LATENCY`` from ``y``. ``residual`` and ``accumulate`` are wanted
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

    def __init__(self):
        super().__init__(
            {
                "y": In(RESIDUAL),
                "shift": In(SHIFT_BITS),
                "residual": In(RESIDUAL),
                "accumulate": In(1),
                "o": Out(RESIDUAL),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shifted = Signal(signed(len(self.y) + (1 << SHIFT_BITS) - 1), reset_less=True)
        total = Signal(signed(len(shifted) + 1), reset_less=True)
        lowest, highest = numerics.code_range(numerics.RESIDUAL_BITS, signed=True)
        upper = total[len(self.o) - 1 :]
        m.d.sync += [
            shifted.eq(self.y << self.shift),
            total.eq(shifted + Mux(self.accumulate, self.residual, 0)),
            self.o.eq(Mux(~upper.any() | upper.all(), total, Mux(total[-1], lowest, highest))),
        ]
        return m


class Residual(wiring.Component):
    """``lanes`` of :class:`ResidualLane` side by side, with one ``shift`` and ``accumulate``."""

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

    def elaborate(self, platform):
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
