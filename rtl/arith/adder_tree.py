"""Sum of many values."""

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


class AdderTree(wiring.Component):
    """Add the values of a vector, in pairs, with a register behind every adder.

    ``o = sum(i)``

    Latency ``LATENCY = log2(count)`` cycles, one vector per cycle, no flow control.

    Parameters
    ----------
    count : int
        Values, a power of two, at least 2.
    shape : Shape
        Of each value.

    Members
    -------
    i : In(data.ArrayLayout(shape, count))
    o : Out(Shape(shape.width + LATENCY, shape.signed))

    Raises
    ------
    ValueError
        If ``count`` is not a power of two, or is 1.
    """

    def __init__(self, count: int, shape: Shape):
        if count < 2 or count & (count - 1):
            raise ValueError(f"count must be a power of two, at least 2, not {count}")
        self.LATENCY = ceil_log2(count)
        total = Shape(shape.width + self.LATENCY, shape.signed)
        super().__init__({"i": In(data.ArrayLayout(shape, count)), "o": Out(total)})

    def elaborate(self, platform):
        m = Module()
        values = list(self.i)
        for level in range(self.LATENCY):
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [left + right for left, right in pairs]
            sums = [
                Signal(value.shape(), name=f"sum_{level}_{index}", reset_less=True)
                for index, value in enumerate(values)
            ]
            m.d.sync += [total.eq(value) for total, value in zip(sums, values, strict=True)]
            values = sums
        m.d.comb += self.o.eq(values[0])
        return m
