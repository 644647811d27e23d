"""Pass 1 of LayerNorm: from the residual stream to the scalars of two tokens."""

from amaranth.hdl import Assert, Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.lib.pipeline import delayed
from rtl.lib.streams import Queue
from rtl.memory.ports import RESIDUAL, array
from rtl.vector.norm_lane import SQUARE, NormScalar
from rtl.vector.norm_scalars import NormParameters, NormScalars
from rtl.vector.norm_sums import NormSums, NormTotals

NormToken = data.StructLayout({"totals": NormTotals, "parameters": NormParameters})
NormPair = array(2, NormScalar)


class NormStatistics(wiring.Component):
    """Sums of two tokens, then their scalars, one token after the other on one path.

    Rigid up to the queue in which ``pairs`` wait for pass 2: the issue of beats counts them. The
    ``last`` beats of two pairs must be at least two cycles apart. A pair enters the queue
    ``LATENCY`` cycles after its last beat.

    Parameters
    ----------
    config : EngineConfig
    pairs : int
        Pairs of tokens that the queue holds.

    Members
    -------
    valid, first, last : In(1)
        A beat enters; it is its pair's first, or last.
    values : In(2 x norm_lanes x signed(16))
    squares : In(2 x norm_lanes x unsigned(31))
        Of the values that entered ``NormLanes.SQUARE_LATENCY`` cycles before.
    parameters : In(NormParameters)
    ready : Out(1)
        A pair enters the queue.
    pairs : Out(stream.Signature(NormPair))
    """

    def __init__(self, config: EngineConfig, pairs: int):
        lanes = config.norm_lanes
        self.config = config
        self.depth = pairs
        self.LATENCY = self.latency(config)
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "values": In(array(2, array(lanes, RESIDUAL))),
                "squares": In(array(2, array(lanes, SQUARE))),
                "parameters": In(NormParameters),
                "ready": Out(1),
                "pairs": Out(stream.Signature(NormPair)),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Sums, and the scalars of two tokens, a cycle apart."""
        return NormSums.latency(config) + NormScalars.LATENCY + 1

    def elaborate(self, platform):
        m = Module()
        m.submodules.even = even = NormSums(self.config)
        m.submodules.odd = odd = NormSums(self.config)
        m.submodules.scalars = scalars = NormScalars()
        m.submodules.queue = queue = Queue(NormPair, self.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.pairs))
        for token, sums in enumerate((even, odd)):
            m.d.comb += [
                sums.valid.eq(self.valid),
                sums.first.eq(self.first),
                sums.values.eq(self.values[token]),
                sums.squares.eq(self.squares[token]),
            ]

        complete = delayed(m, self.valid & self.last, even.LATENCY, name="complete", marker=True)
        second = delayed(m, complete, 1, name="second", marker=True)
        m.d.sync += Assert(~(complete & second))
        parameters = delayed(m, self.parameters, even.LATENCY, name="parameters")
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
