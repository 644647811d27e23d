"""Dot products of a few tokens with a few rows: the block that fills most of an engine."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.adder_tree import AdderTree
from rtl.arith.cascade import Cascade
from rtl.arith.packing import Packing
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.matmul.signals import ACC, WordFlags
from rtl.model import numerics


class Dot(wiring.Component):
    """Adder tree and accumulator of one (token, row).

    ``acc <= (0 | acc << 4 | acc) + Σ_k fields[k] - (all fields' zero points, if they are signed)``

    The zero points of all fields are together half the range of their sum: the sum's highest bit,
    inverted, is its sign. ``acc`` has 27 bits and wraps. It is copied to ``sums``, where the drain
    finds it while the next row tile accumulates.

    ``latency(…)`` cycles from a row tile's last fields to ``sums``; no flow control.

    Parameters
    ----------
    terms : int
        Fields per cycle, a power of two.
    bits : int
        Bits of a field.
    adder_terms : int
        Numbers that one adder adds: 2 or 3.

    Members
    -------
    fields : In(terms x unsigned(bits))
    word : In(WordFlags)
        Arrives with the sum of its fields, ``latency(…) - 2`` cycles after them.
    is_signed : In(1)
        The word's fields are signed. Arrives with the word.
    capture : In(1)
        Copy ``acc``: one cycle after a row tile's last word.
    sums : Out(signed(27))
    """

    def __init__(self, terms: int, bits: int, adder_terms: int):
        self.parameters = (terms, bits, adder_terms)
        super().__init__(
            {
                "fields": In(data.ArrayLayout(unsigned(bits), terms)),
                "word": In(WordFlags),
                "is_signed": In(1),
                "capture": In(1),
                "sums": Out(ACC),
            }
        )

    @staticmethod
    def latency(terms: int, adder_terms: int) -> int:
        """Cycles from a row tile's last fields to ``sums``."""
        return AdderTree.latency(terms, adder_terms) + 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        terms, bits, adder_terms = self.parameters
        m.submodules.tree = tree = AdderTree(terms, unsigned(bits), adder_terms)
        m.d.comb += tree.i.eq(self.fields)
        high = tree.o[-1]
        value = Cat(tree.o[:-1], high ^ self.is_signed, self.is_signed & ~high).as_signed()

        word, acc = self.word, Signal(ACC, reset_less=True)
        shifted = (acc << numerics.ATOM_BITS)[: len(acc)].as_signed()
        base = Mux(word.first, 0, Mux(word.shift_before, shifted, acc))
        with m.If(word.valid):
            # In this order a bit is one LUT: the carry chain takes the first term as it is.
            m.d.sync += acc.eq(value + base)
        sums = Signal(ACC, reset_less=True)
        with m.If(self.capture):
            m.d.sync += sums.eq(acc)
        m.d.comb += self.sums.eq(sums)
        return m


class ArrayTile(wiring.Component):
    """``token_pack x row_pack`` dot products over ``depth_lanes`` terms a cycle.

    ``sums[t][r] = Σ_words Σ_d activations[t, d] · weights[r, d]``, with ``first`` and
    ``shift_before`` as in :class:`Dot`.

    Cascades of packed multipliers, and an adder tree over the cascades for each product. No flow
    control: the array is rigid, only its feed can stall. What is the same for all tiles is done
    once outside: ``word`` comes when it is needed, and has only its last register here. Operands
    of depth lane d come ``Cascade.skew(d mod cascade)`` cycles after lane 0's.

    ``latency(…)`` cycles from a row tile's last operands to ``sums``; one word per cycle.

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
    is_signed : In(1)
        Weights or activations are signed. Arrives with the operands of lane 0.
    word : In(WordFlags)
        ``word_delay(…)`` cycles after the operands of lane 0.
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
                "is_signed": In(1),
                "word": In(WordFlags),
                "sums": Out(data.ArrayLayout(rows, packing.token_pack)),
            }
        )

    @staticmethod
    def latency(depth_lanes: int, packing: Packing) -> int:
        """Cycles from a row tile's last operands to ``sums``."""
        cascade = min(packing.cascade, depth_lanes)
        return Cascade.latency(cascade) + Dot.latency(depth_lanes // cascade, packing.adder_terms)

    @staticmethod
    def word_delay(depth_lanes: int, packing: Packing) -> int:
        """Cycles from the operands of lane 0 to their word."""
        # What is left then: the word's own register, the accumulator, the sums.
        return ArrayTile.latency(depth_lanes, packing) - 3

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Each tile has its own copies of what all tiles share: one register cannot drive them all.
        is_signed = delayed(m, self.is_signed, 1, name="is_signed", copy=True)
        cascades = [Cascade(self.packing, self.cascade) for _ in range(self.cascades)]
        for k, cascade in enumerate(cascades):
            m.submodules[f"cascade_{k}"] = once(cascade, platform)
            m.d.comb += cascade.is_signed.eq(is_signed)
            for n in range(self.cascade):
                m.d.comb += [
                    cascade.activations[n].eq(self.activations[k * self.cascade + n]),
                    cascade.weights[n].eq(self.weights[k * self.cascade + n]),
                ]

        flags = {
            name: delayed(m, self.word[name], 1, name=f"word_{name}", copy=True)
            for name in ("valid", "first", "shift_before", "last")
        }
        word_is_signed = delayed(
            m, self.word.w_signed | self.word.a_signed, 1, name="word_is_signed", copy=True
        )
        capture = delayed(m, flags["valid"] & flags["last"], 1, name="capture", copy=True)
        for token, sums in enumerate(self.sums):
            for row in range(self.packing.row_pack):
                dot = Dot(self.cascades, self.packing.field_bits, self.packing.adder_terms)
                m.submodules[f"dot_{token}_{row}"] = once(dot, platform)
                field = self.packing.field(token, row)
                m.d.comb += [dot.fields[k].eq(c.fields[field]) for k, c in enumerate(cascades)]
                m.d.comb += [dot.word[name].eq(flag) for name, flag in flags.items()]
                m.d.comb += [
                    dot.is_signed.eq(word_is_signed),
                    dot.capture.eq(capture),
                    sums[row].eq(dot.sums),
                ]
        return m
