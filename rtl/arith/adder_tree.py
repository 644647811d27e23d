"""Sum of many values."""

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.arith import ultrascale
from rtl.lib.emit import Primitives, primitives


class AdderTree(wiring.Component):
    """Add the values of a vector, a few at a time, with a register behind every adder.

    ``o = sum(i)``

    Adders of three values take no more LUTs of six inputs than those of two, and make fewer
    registers. Synthesis may not see that, so with UltraScale's primitives they are built of them.
    Where LUTs have four inputs, adders of two are smaller.

    Latency ``latency(count, adder_terms)`` cycles, one vector per cycle, no flow control; 0 for
    one value.

    Parameters
    ----------
    count : int
        Number of values, a power of two.
    shape : Shape
        Shape of each value.
    adder_terms : int
        Number of values that one adder adds: 2 or 3.

    Members
    -------
    i : In(data.ArrayLayout(shape, count))
    o : Out(Shape(shape.width + log2(count), shape.signed))

    Raises
    ------
    ValueError
        If ``count`` is not a power of two, or ``adder_terms`` neither 2 nor 3.
    """

    def __init__(self, count: int, shape: Shape, adder_terms: int = 2):
        if count < 1 or count & (count - 1):
            raise ValueError(f"count must be a power of two, not {count}")
        if adder_terms not in (2, 3):
            raise ValueError(f"adder_terms must be 2 or 3, not {adder_terms}")
        self.count, self.shape, self.adder_terms = count, shape, adder_terms
        total = Shape(shape.width + exact_log2(count), shape.signed)
        super().__init__({"i": In(data.ArrayLayout(shape, count)), "o": Out(total)})

    @staticmethod
    def latency(count: int, adder_terms: int = 2) -> int:
        """Cycles from the values to their sum: the levels of the tree."""
        return 1 + AdderTree.latency(-(-count // adder_terms), adder_terms) if count > 1 else 0

    @staticmethod
    def register_bits(count: int, bits: int, adder_terms: int = 2) -> int:
        """Bits of the registers of a tree that adds ``count`` unsigned values of ``bits``."""
        total, counts = 0, [1] * count
        while len(counts) > 1:
            counts = [sum(terms) for terms in _by_adder(counts, adder_terms)]
            total += sum((n * ((1 << bits) - 1)).bit_length() for n in counts)
        return total

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = [(value, 1) for value in self.i]  # each with how many are in it
        for level in range(self.latency(self.count, self.adder_terms)):
            adders, values = _by_adder(values, self.adder_terms), []
            for index, counted in enumerate(adders):
                count = sum(n for _, n in counted)
                name = f"sum_{level}_{index}"
                total = Signal(self._shape(count), name=name, reset_less=True)
                terms = [value for value, _ in counted]
                m.d.sync += total.eq(_add(m, f"add_{level}_{index}", terms, len(total), platform))
                values.append((total, count))
        m.d.comb += self.o.eq(values[0][0])
        return m

    def _shape(self, count: int) -> Shape:
        """Shape of a sum of ``count`` values."""
        bits = self.shape.width - self.shape.signed
        return Shape(
            (count * ((1 << bits) - 1)).bit_length() + self.shape.signed, self.shape.signed
        )


def _by_adder(values: list, size: int) -> list[list]:
    """Share values among as few adders of at most ``size`` as possible, as equally as possible."""
    count = -(-len(values) // size)
    return [values[len(values) * n // count : len(values) * (n + 1) // count] for n in range(count)]


def _add(m: Module, name: str, terms: list[Value], bits: int, platform: object) -> Value:
    """Sum of up to three values, in at least ``bits`` bits."""
    if len(terms) == 3 and primitives(platform) is Primitives.ULTRASCALE:
        return ultrascale.add_three(m, name, terms, bits)
    return sum(terms[1:], terms[0])
