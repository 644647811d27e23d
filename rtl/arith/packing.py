"""How many small products one hard multiplier makes at once, and how they are kept apart.

``A = Σ a_i · 2^(i · activation_spacing)`` and ``W = Σ w_j · 2^(j · weight_spacing)`` on the two
ports of a multiplier give every product ``a_i · w_j`` in a field of its own of ``A · W``. Sums of
such products (a *cascade* of multipliers) stay in their fields as long as no field overflows.
Fields are signed unless both operands are unsigned. A negative field would borrow from the one
above it; so where fields are signed, each is *lifted*: half of its range is added to it. Then
none is negative, and all fields are plain unsigned numbers in every mode.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from rtl.model.numerics import code_range


@dataclass(frozen=True)
class Multiplier:
    """A hard multiplier, and the logic around it.

    Parameters
    ----------
    wide_bits, narrow_bits, sum_bits : int
        Widths of the ports, two's complement, and of the sum that it cascades into.
    adder_terms : int
        Numbers that the device's logic adds on one carry chain.
    """

    wide_bits: int
    narrow_bits: int
    sum_bits: int
    adder_terms: int


MULTIPLIERS = {
    "dsp48e2": Multiplier(wide_bits=27, narrow_bits=18, sum_bits=48, adder_terms=3),
    "mult18x18": Multiplier(wide_bits=18, narrow_bits=18, sum_bits=54, adder_terms=2),
}


def adder_terms(multiplier: str) -> int:
    """Numbers that the logic around a multiplier of this name adds on one carry chain."""
    return MULTIPLIERS[multiplier].adder_terms


SIGN_MODES = tuple(product((False, True), repeat=2))
"""All pairs (weights signed, activations signed)."""

TOKEN_PACKS = (1, 2)  # token_lanes is even
ROW_PACKS = (1, 2, 4)  # row_lanes is a power of two, at least 4


@dataclass(frozen=True)
class Packing:
    """``token_pack x row_pack`` products per multiplier, in fields of ``field_bits``.

    Parameters
    ----------
    weight_bits, act_bits : int
        Operands, signed or unsigned from one pass to the next.
    token_pack, row_pack : int
        Activations and weights that share a multiplier.
    field_bits : int
        Distance of neighbouring fields.
    activation_step, weight_step : int
        Fields between neighbouring activations, and between neighbouring weights.
    activation_port_bits, weight_port_bits, sum_bits : int
        Widths of the ports that the operands take, and of the sum.
    adder_terms : int
        As in :class:`Multiplier`.

    Example: 4 x 6 bits on a DSP48E2 are 2 x 2 products in fields of 11 bits, A = a0 + a1 · 2^11
    on the 18-bit port, W = w0 + w1 · 2^22 on the 27-bit port, cascades of 2.
    """

    weight_bits: int
    act_bits: int
    token_pack: int
    row_pack: int
    field_bits: int
    activation_step: int
    weight_step: int
    activation_port_bits: int
    weight_port_bits: int
    sum_bits: int
    adder_terms: int

    @property
    def products(self) -> int:
        return self.token_pack * self.row_pack

    @property
    def activation_spacing(self) -> int:
        """Bits from one activation of a packed operand to the next."""
        return self.activation_step * self.field_bits

    @property
    def weight_spacing(self) -> int:
        """Bits from one weight of a packed operand to the next."""
        return self.weight_step * self.field_bits

    def field(self, token: int, row: int) -> int:
        """Index of the field, lowest first, that holds ``activation[token] · weight[row]``."""
        return token * self.activation_step + row * self.weight_step

    def depth(self, w_signed: bool, a_signed: bool) -> int:
        """Products that a field can sum up without overflow, in one sign mode."""
        low, high = _product_range(self.weight_bits, w_signed, self.act_bits, a_signed)
        if low >= 0:
            return ((1 << self.field_bits) - 1) // high
        lowest, highest = code_range(self.field_bits, signed=True)
        return min(lowest // low, highest // high)

    @property
    def cascade(self) -> int:
        """Multipliers in a cascade: what fits in all sign modes, as a power of two."""
        return 1 << (min(self.depth(*mode) for mode in SIGN_MODES).bit_length() - 1)

    @property
    def lift(self) -> int:
        """What is added to a sum whose fields are signed: half of a field's range to each."""
        return pack([1 << self.field_bits - 1] * self.products, self.field_bits)

    @property
    def _possible(self) -> bool:
        operands = (
            (self.act_bits, self.token_pack, self.activation_spacing, self.activation_port_bits),
            (self.weight_bits, self.row_pack, self.weight_spacing, self.weight_port_bits),
        )
        return (
            self.products * self.field_bits <= self.sum_bits
            and all(_fits(*operand) for operand in operands)
            and all(self.depth(*mode) >= 1 for mode in SIGN_MODES)
        )


@cache
def packing(weight_bits: int, act_bits: int, multiplier: str) -> Packing:
    """The densest packing, and among equals the one with the longest cascades.

    Raises
    ------
    ValueError
        If the multiplier is unknown or not even one product fits.
    """
    if multiplier not in MULTIPLIERS:
        raise ValueError(f"multiplier must be one of {', '.join(MULTIPLIERS)}, not '{multiplier}'")
    options = list(_options(weight_bits, act_bits, MULTIPLIERS[multiplier]))
    if not options:
        raise ValueError(f"no product of {weight_bits} x {act_bits} bits fits a {multiplier}")
    return max(options, key=lambda option: (option.products, option.cascade))


def pack(values: list[int], spacing: int) -> int:
    """A packed operand: ``Σ values[i] · 2^(i · spacing)``."""
    return sum(value << index * spacing for index, value in enumerate(values))


def unpack(total: int, fields: int, field_bits: int) -> list[int]:
    """Take the fields of a sum of packed products apart, lowest first; all are unsigned."""
    return [total >> index * field_bits & ((1 << field_bits) - 1) for index in range(fields)]


def _options(weight_bits: int, act_bits: int, multiplier: Multiplier) -> Iterator[Packing]:
    narrow, wide = multiplier.narrow_bits, multiplier.wide_bits
    sizes = range(multiplier.sum_bits, 0, -1)
    for tokens, rows, field_bits in product(TOKEN_PACKS, ROW_PACKS, sizes):
        for ports, steps in (((narrow, wide), (1, tokens)), ((wide, narrow), (rows, 1))):
            option = Packing(
                weight_bits, act_bits, tokens, rows, field_bits, *steps, *ports,
                multiplier.sum_bits, multiplier.adder_terms,
            )  # fmt: skip
            if option._possible:
                yield option


def _product_range(w_bits: int, w_signed: bool, a_bits: int, a_signed: bool) -> tuple[int, int]:
    corners = [
        w * a for w, a in product(code_range(w_bits, w_signed), code_range(a_bits, a_signed))
    ]
    return min(corners), max(corners)


def _fits(bits: int, count: int, spacing: int, port_bits: int) -> bool:
    """Whether a packed operand fits a two's complement port, be it signed or unsigned."""
    lowest, highest = code_range(port_bits, signed=True)
    ends = {*code_range(bits, signed=False), *code_range(bits, signed=True)}
    extremes = [pack([value] * count, spacing) for value in ends]
    return lowest <= min(extremes) and max(extremes) <= highest
