"""Pass 1 of LayerNorm: sums over the channels, and the scalars of each token."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.adder_tree import AdderTree
from rtl.arith.multiply import MultiplyAdd
from rtl.arith.packing import adder_terms
from rtl.arith.rsqrt import RSQRT, Rsqrt
from rtl.config import EngineConfig
from rtl.lib.pipeline import delayed
from rtl.lib.streams import Queue, connect
from rtl.memory.ports import RESIDUAL, array
from rtl.model import numerics
from rtl.vector.norm_lanes import FACTOR, OFFSET, SQUARE, WIDTH_BITS, NormLane, NormScalar

WIDTH = unsigned(numerics.MAX_WIDTH.bit_length())
EPSILON = unsigned(32)
GAIN = unsigned(16)
SQUARES_LOW = 24  # the 41-bit sum of squares is multiplied in two parts
VALUES_LOW = 17  # and so is the sum of values with itself
NORM_PAIR = array(2, NormScalar)


class NormTotals(data.Struct):
    """Sums of a token: S1 and S2 of docs/numerics.md, section 4."""

    values: signed(numerics.RESIDUAL_BITS + WIDTH_BITS)
    squares: unsigned(2 * numerics.RESIDUAL_BITS - 1 + WIDTH_BITS)


class NormParameters(data.Struct):
    """Operands of an instruction: D, the epsilon, G and s0 of docs/numerics.md, section 4."""

    width: WIDTH
    epsilon: EPSILON
    gain: GAIN
    shift: unsigned(4)


class NormSums(wiring.Component):
    """Sum of a token's channels and of their squares, ``norm_lanes`` of them per cycle.

    ``totals.values = sum(r)``, ``totals.squares = sum(r**2)``

    ``totals`` hold the sums up to a beat ``latency(config)`` cycles after it, until the next beat.
    One beat per cycle, no flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    valid : In(1)
        A beat enters.
    first : In(1)
        The beat is its token's first.
    values : In(norm_lanes x signed(16))
    squares : In(norm_lanes x unsigned(31))
        Squares of the values that entered ``NormLane.SQUARE_LATENCY`` cycles before.
    totals : Out(NormTotals)
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        lanes = config.norm_lanes
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "values": In(array(lanes, RESIDUAL)),
                "squares": In(array(lanes, SQUARE)),
                "totals": Out(NormTotals),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Cycles from a beat to its sums: squares, adder tree, accumulator."""
        tree = AdderTree.latency(config.norm_lanes, adder_terms(config.multiplier))
        return NormLane.SQUARE_LATENCY + tree + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, terms = self.config.norm_lanes, adder_terms(self.config.multiplier)
        m.submodules.values = values = AdderTree(lanes, RESIDUAL, terms)
        m.submodules.squares = squares = AdderTree(lanes, SQUARE, terms)
        cycles = self.latency(self.config) - 1
        valid = delayed(m, self.valid, cycles, name="valid", marker=True)
        first = delayed(m, self.first, cycles, name="first")
        sum_of_values = delayed(m, values.o, NormLane.SQUARE_LATENCY, name="sum_of_values")
        m.d.comb += [values.i.eq(self.values), squares.i.eq(self.squares)]
        with m.If(valid):
            m.d.sync += [
                self.totals.values.eq(sum_of_values + Mux(first, 0, self.totals.values)),
                self.totals.squares.eq(squares.o + Mux(first, 0, self.totals.squares)),
            ]
        return m


class NormVariance(wiring.Component):
    """Variance of a token, multiplied by the square of its width.

    ``variance = width * totals.squares - totals.values**2 + epsilon``, modulo 2**52

    Latency ``LATENCY`` cycles, one token per cycle, no flow control. Both products are wider than
    a DSP block takes; each is the sum of two.

    Members
    -------
    totals : In(NormTotals)
    width : In(11)
    epsilon : In(32)
    variance : Out(unsigned(52))
    """

    LATENCY = MultiplyAdd.LATENCY + 2

    totals: In(NormTotals)
    width: In(WIDTH)
    epsilon: In(EPSILON)
    variance: Out(unsigned(2 * Rsqrt.DIGITS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values, squares = self.totals.values, self.totals.squares
        part = unsigned(SQUARES_LOW + WIDTH.width + 1)
        m.submodules.low = low = MultiplyAdd(unsigned(SQUARES_LOW), WIDTH, part, EPSILON)
        m.submodules.high = high = MultiplyAdd(unsigned(SQUARES_LOW), WIDTH, part)
        m.submodules.low_square = low_square = MultiplyAdd(
            values.shape(), unsigned(VALUES_LOW), signed(44)
        )
        m.submodules.high_square = high_square = MultiplyAdd(
            values.shape(), signed(len(values) - VALUES_LOW), signed(36)
        )
        added = Signal(self.variance.shape(), reset_less=True)
        subtracted = Signal(self.variance.shape(), reset_less=True)
        m.d.comb += [
            low.a.eq(squares[:SQUARES_LOW]),
            low.b.eq(self.width),
            low.c.eq(self.epsilon),
            high.a.eq(squares[SQUARES_LOW:]),
            high.b.eq(self.width),
            low_square.a.eq(values),
            low_square.b.eq(values[:VALUES_LOW]),
            high_square.a.eq(values),
            high_square.b.eq(values[VALUES_LOW:]),
        ]
        m.d.sync += [
            added.eq((high.o << SQUARES_LOW) + low.o),
            subtracted.eq((high_square.o << VALUES_LOW) + low_square.o),
            self.variance.eq(added - subtracted),
        ]
        return m


class NormScalars(wiring.Component):
    """Scalars of a token: factor, offset and shift.

    ``k' = (rsqrt(V) * gain) >> 16``; ``scalar.factor = width * k'``,
    ``scalar.offset = -totals.values * k'``, ``scalar.shift = e + shift - 1``

    Latency ``LATENCY`` cycles, one token per cycle, no flow control: the unit takes only as many
    pairs of tokens as it has room for.

    Members
    -------
    totals : In(NormTotals)
    parameters : In(NormParameters)
    scalar : Out(NormScalar)

    Source: docs/numerics.md, section 4. Reference: sim.golden.ops.layer_norm.
    """

    LATENCY = NormVariance.LATENCY + Rsqrt.LATENCY + 2 * MultiplyAdd.LATENCY

    totals: In(NormTotals)
    parameters: In(NormParameters)
    scalar: Out(NormScalar)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.variance = variance = NormVariance()
        m.submodules.rsqrt = rsqrt = Rsqrt()
        m.submodules.gain = gain = MultiplyAdd(RSQRT, GAIN, unsigned(RSQRT.width + GAIN.width))
        m.submodules.factor = factor = MultiplyAdd(WIDTH, RSQRT, FACTOR)
        minus = signed(len(self.totals.values) + 1)
        m.submodules.offset = offset = MultiplyAdd(minus, RSQRT, OFFSET)

        until_rsqrt = variance.LATENCY + rsqrt.LATENCY
        until_gain = until_rsqrt + gain.LATENCY
        parameters = self.parameters
        negated = Signal(minus, reset_less=True)
        shift = Signal(self.scalar.shift.shape(), reset_less=True)
        m.d.sync += negated.eq(-self.totals.values)
        m.d.sync += shift.eq(rsqrt.e + delayed(m, parameters.shift, until_rsqrt, name="shift") - 1)
        m.d.comb += [
            variance.totals.eq(self.totals),
            variance.width.eq(parameters.width),
            variance.epsilon.eq(parameters.epsilon),
            rsqrt.variance.eq(variance.variance),
            gain.a.eq(rsqrt.k),
            gain.b.eq(delayed(m, parameters.gain, until_rsqrt, name="gain")),
            factor.a.eq(delayed(m, parameters.width, until_gain, name="width")),
            factor.b.eq(gain.o >> GAIN.width),
            offset.a.eq(delayed(m, negated, until_gain - 1, name="negated")),
            offset.b.eq(gain.o >> GAIN.width),
            self.scalar.factor.eq(factor.o),
            self.scalar.offset.eq(offset.o),
            self.scalar.shift.eq(delayed(m, shift, gain.LATENCY + offset.LATENCY - 1, name="e")),
        ]
        return m


class NormStatistics(wiring.Component):
    """Statistics of a pair of tokens: their sums, then their scalars, one token after the other.

    No flow control up to the queue in which ``pairs`` wait for pass 2: the issue of beats counts
    them. The ``last`` beats of two pairs must be at least two cycles apart. A pair enters the queue
    ``latency(config)`` cycles after its last beat.

    Parameters
    ----------
    config : EngineConfig
    pairs : int
        How many pairs of tokens the queue holds.

    Members
    -------
    valid : In(1)
        A beat enters.
    first, last : In(1)
        The beat is its pair's first, or last.
    values : In(2 x norm_lanes x signed(16))
    squares : In(2 x norm_lanes x unsigned(31))
        Squares of the values that entered ``NormLanes.SQUARE_LATENCY`` cycles before.
    parameters : In(NormParameters)
    ready : Out(1)
        A pair enters the queue.
    pairs : Out(stream.Signature(NORM_PAIR))
    """

    def __init__(self, config: EngineConfig, pairs: int):
        lanes = config.norm_lanes
        self.config = config
        self.depth = pairs
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "values": In(array(2, array(lanes, RESIDUAL))),
                "squares": In(array(2, array(lanes, SQUARE))),
                "parameters": In(NormParameters),
                "ready": Out(1),
                "pairs": Out(stream.Signature(NORM_PAIR)),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Cycles from a pair's last beat to its scalars: the second token's, a cycle later."""
        return NormSums.latency(config) + NormScalars.LATENCY + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.even = even = NormSums(self.config)
        m.submodules.odd = odd = NormSums(self.config)
        m.submodules.scalars = scalars = NormScalars()
        m.submodules.queue = queue = Queue(NORM_PAIR, self.depth)
        connect(m, producer=queue.o, consumer=wiring.flipped(self.pairs))
        for token, sums in enumerate((even, odd)):
            m.d.comb += [
                sums.valid.eq(self.valid),
                sums.first.eq(self.first),
                sums.values.eq(self.values[token]),
                sums.squares.eq(self.squares[token]),
            ]

        sum_cycles = NormSums.latency(self.config)
        complete = delayed(m, self.valid & self.last, sum_cycles, name="complete", marker=True)
        second = delayed(m, complete, 1, name="second", marker=True)
        m.d.sync += Assert(~(complete & second))
        parameters = delayed(m, self.parameters, sum_cycles, name="parameters")
        odd_totals = delayed(m, odd.totals, 1, name="odd_totals")
        odd_parameters = delayed(m, parameters, 1, name="odd_parameters")
        m.d.comb += [
            scalars.totals.eq(Mux(second, odd_totals, even.totals)),
            scalars.parameters.eq(Mux(second, odd_parameters, parameters)),
            queue.i.payload[0].eq(delayed(m, scalars.scalar, 1, name="even_scalar")),
            queue.i.payload[1].eq(scalars.scalar),
            queue.i.valid.eq(delayed(m, second, scalars.LATENCY, name="ready", marker=True)),
            self.ready.eq(queue.i.valid),
        ]
        return m
