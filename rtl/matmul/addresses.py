"""Where each word's operands lie."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import Weights
from rtl.matmul.signals import Step
from rtl.memory.ports import ADDRESS


class Addresses(wiring.Component):
    """Read addresses of each step's word (docs/design/0001-engine.md, *Matmul*).

    ``o`` is ``i``, ``LATENCY`` cycles later, and belongs to the addresses.

    Parameters
    ----------
    weight_words : int
        Where the ring wraps.

    Members
    -------
    i : In(Step)
    o : Out(Step)
    activation, weight : Out(ADDRESS)
    """

    LATENCY = 2

    def __init__(self, weight_words: int):
        self.weight_words = weight_words
        super().__init__(
            {"i": In(Step), "o": Out(Step), "activation": Out(ADDRESS), "weight": Out(ADDRESS)}
        )

    def elaborate(self, platform):
        m = Module()
        i, of_i = self.i, self.i.tile.work.operands
        ring, values = of_i.weights == Weights.RING, of_i.weights == Weights.VALUES
        by_step = ~ring & (values ^ i.tile_start)
        step, stride = Signal(Step), Signal.like(of_i.weight_step, reset_less=True)
        from_first, may_wrap = Signal(), Signal()
        m.d.sync += [
            step.eq(i),
            from_first.eq(i.again | (i.tile_start & ~ring)),
            may_wrap.eq(ring & ~i.again),
            stride.eq(Mux(i.again, 0, Mux(by_step, of_i.weight_step, 1))),
        ]

        operands = step.tile.work.operands
        pass_first = Signal(ADDRESS, reset_less=True)  # weight word that the pass began with
        weight = Signal(ADDRESS)
        at_end = may_wrap & (self.weight == self.weight_words - 1)
        source = Mux(from_first, pass_first, self.weight)
        m.d.comb += weight.eq(Mux(at_end, 0, source + stride))
        with m.If(step.start):
            m.d.comb += weight.eq(operands.weight_address)

        m.d.sync += self.o.eq(step)
        with m.If(step.word.valid):
            pass_start = step.again | step.new_words
            m.d.sync += [
                self.weight.eq(weight),
                self.activation.eq(
                    Mux(pass_start, operands.activation_address, self.activation + 1)
                ),
            ]
            with m.If(step.new_words):
                m.d.sync += pass_first.eq(weight)
        return m
