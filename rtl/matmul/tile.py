"""Dot products of a few tokens with a few rows: the block that fills most of an engine."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl import numerics
from rtl.arith.multiplier import Cascade
from rtl.arith.packing import Packing
from rtl.emit import once
from rtl.matmul.signals import ACC, Word
from rtl.pipeline import delayed, halves


def add(a: Value, b: Value, carry: Value) -> Value:
    """``a + b + carry`` on one carry chain: the carry enters below the lowest bit."""
    extended = Cat(carry, a).as_signed() + Cat(carry, b).as_signed()
    return extended[1:].as_signed()


class Dot(wiring.Component):
    """Adder tree and accumulator of one (token, row).

    ``acc <= (0 | acc << 4 | acc) + Σ_k (fields[k] + borrows[k])``

    The borrows cost nothing: n fields meet in n - 1 adders and the accumulator, which have n carry
    inputs. ``acc`` has 27 bits and wraps. On ``last`` it is copied to ``sums``, where the drain
    finds it while the next row tile accumulates.

    Free running; latency ``LATENCY`` from a row tile's last fields to ``sums``.

    Parameters
    ----------
    terms : int
        Fields per cycle, a power of two.
    bits : int
        Of a field.

    Members
    -------
    fields : In(terms x signed(bits))
    borrows : In(terms x 1)
    word : In(Word)
        With the fields.
    sums : Out(signed(27))
    """

    def __init__(self, terms: int, bits: int):
        self.parameters = (terms, bits)
        self.levels = exact_log2(terms)
        super().__init__(
            {
                "fields": In(data.ArrayLayout(signed(bits), terms)),
                "borrows": In(data.ArrayLayout(unsigned(1), terms)),
                "word": In(Word),
                "sums": Out(ACC),
            }
        )

    @staticmethod
    def latency(terms: int) -> int:
        """``LATENCY`` for this many terms."""
        return exact_log2(terms) + 2

    @property
    def LATENCY(self) -> int:
        return self.latency(1 << self.levels)

    def elaborate(self, platform):
        m = Module()
        values, borrows = list(self.fields), list(self.borrows)
        for level in range(self.levels):
            pairs = list(zip(halves(values), halves(borrows), strict=True))
            values, borrows = [], []
            for k, ((a, b), (carry, kept)) in enumerate(pairs):
                total = Signal(signed(len(a) + 1), name=f"total_{level}_{k}", reset_less=True)
                borrow = Signal(name=f"borrow_{level}_{k}", reset_less=True)
                m.d.sync += [total.eq(add(a, b, carry)), borrow.eq(kept)]
                values.append(total)
                borrows.append(borrow)

        word = delayed(m, self.word, self.levels, name="word")
        last = delayed(m, word.valid & word.last, 1, name="last")
        acc = Signal(ACC, reset_less=True)
        shifted = (acc << numerics.ATOM_BITS)[: len(acc)].as_signed()
        base = Mux(word.first, 0, Mux(word.shift_before, shifted, acc))
        with m.If(word.valid):
            m.d.sync += acc.eq(add(base, values[0], borrows[0]))
        with m.If(last):
            m.d.sync += self.sums.eq(acc)
        return m


class Tile(wiring.Component):
    """``token_pack x row_pack`` dot products over ``depth_lanes`` terms a cycle.

    ``sums[t][r] = Σ_words Σ_d activations[t, d] · weights[r, d]``, with ``first`` and
    ``shift_before`` as in :class:`Dot`.

    Cascades of packed multipliers; each total's fields are taken apart (a field above a negative
    one gets 1 added back, unless both operands are unsigned) and summed up over the cascades.
    Free running, without flow control: the array is rigid, only its feed can stall. Operands of
    depth lane d come ``d mod cascade`` cycles after lane 0's and ``word``.

    Latency ``LATENCY``, from a row tile's last word to ``sums``; one word per cycle.

    Parameters
    ----------
    depth_lanes : int
    packing : Packing

    Members
    -------
    activations : In(depth_lanes x signed(packing.activation_port_bits))
        Packed operands.
    weights : In(depth_lanes x signed(packing.weight_port_bits))
        Packed operands.
    word : In(Word)
    sums : Out(token_pack x row_pack x signed(27))
    """

    def __init__(self, depth_lanes: int, packing: Packing):
        self.packing = packing
        self.parameters = (
            depth_lanes,
            packing.act_bits,
            packing.token_pack,
            packing.row_pack,
            packing.weight_port_bits,
        )
        self.cascade = min(packing.cascade, depth_lanes)
        self.cascades = depth_lanes // self.cascade
        rows = data.ArrayLayout(ACC, packing.row_pack)
        super().__init__(
            {
                "activations": In(
                    data.ArrayLayout(signed(packing.activation_port_bits), depth_lanes)
                ),
                "weights": In(data.ArrayLayout(signed(packing.weight_port_bits), depth_lanes)),
                "word": In(Word),
                "sums": Out(data.ArrayLayout(rows, packing.token_pack)),
            }
        )

    @staticmethod
    def latency(depth_lanes: int, packing: Packing) -> int:
        """``LATENCY`` for these parameters."""
        cascade = min(packing.cascade, depth_lanes)
        return Cascade.latency(cascade) + Dot.latency(depth_lanes // cascade)

    @property
    def LATENCY(self) -> int:
        return self.latency(self.cascade * self.cascades, self.packing)

    def elaborate(self, platform):
        m = Module()
        cascades = [Cascade(self.packing, self.cascade) for _ in range(self.cascades)]
        for k, cascade in enumerate(cascades):
            m.submodules[f"cascade_{k}"] = once(cascade, platform)
            for n in range(self.cascade):
                m.d.comb += [
                    cascade.activations[n].eq(self.activations[k * self.cascade + n]),
                    cascade.weights[n].eq(self.weights[k * self.cascade + n]),
                ]

        word = delayed(m, self.word, cascades[0].LATENCY, name="word")
        mixed = word.w_signed | word.a_signed
        bits = self.packing.field_bits
        for token, sums in enumerate(self.sums):
            for row in range(self.packing.row_pack):
                dot = Dot(self.cascades, bits + 1)
                m.submodules[f"dot_{token}_{row}"] = once(dot, platform)
                m.d.comb += [dot.word.eq(word), sums[row].eq(dot.sums)]
                low = self.packing.field(token, row) * bits
                for k, cascade in enumerate(cascades):
                    field = cascade.total[low : low + bits]
                    m.d.comb += [
                        dot.fields[k].eq(Cat(field, mixed & field[-1])),
                        dot.borrows[k].eq(mixed & cascade.total[low - 1] if low else 0),
                    ]
        return m
