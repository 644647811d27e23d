"""Packing: how many small products one hard multiplier makes at once, and how they stay apart.

``A = Σ a_i · 2^(i · activation_spacing)`` and ``W = Σ w_j · 2^(j · weight_spacing)`` on the two
ports of a multiplier give every product ``a_i · w_j`` in a field of its own of ``A · W``. Sums of
such products (a *cascade* of multipliers) stay in their fields as long as no field overflows.
Fields are signed unless both operands are unsigned. A negative field would borrow from the one
above it; so where fields are signed, each gets a *zero point*: half of its range is added to it.
Then none is negative, and all fields are plain unsigned numbers in every mode.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from rtl.model.numerics import code_range


@dataclass(frozen=True)
class Multiplier:
    """Hard multiplier of a device family, and the logic around it.

    Parameters
    ----------
    a_bits, b_bits, sum_bits : int
        Widths of the ports, two's complement, the wider one first, and of the sum that it
        cascades into.
    adder_terms : int
        Numbers that the device's logic adds on one carry chain.
    """

    a_bits: int
    b_bits: int
    sum_bits: int
    adder_terms: int


MULTIPLIERS = {
    "dsp48e2": Multiplier(a_bits=27, b_bits=18, sum_bits=48, adder_terms=3),
    "mult18x18": Multiplier(a_bits=18, b_bits=18, sum_bits=54, adder_terms=2),
}


def adder_terms(multiplier: str) -> int:
    """Numbers that the logic around a multiplier of this name adds on one carry chain."""
    return MULTIPLIERS[multiplier].adder_terms


SIGN_MODES = tuple(product((False, True), repeat=2))
"""Pairs (weights signed, activations signed)."""

TOKEN_PACKS = (1, 2)  # token_lanes is even
ROW_PACKS = (1, 2, 4)  # row_lanes is a power of two, at least 4


@dataclass(frozen=True)
class PackedOperand:
    """Codes side by side on one port of a multiplier.

    Parameters
    ----------
    bits : int
        Bits of a code, which may be signed or unsigned.
    count : int
        Codes on the port.
    spacing : int
        Bits from one code to the next.
    port_bits : int
        Width of the port.
    """

    bits: int
    count: int
    spacing: int
    port_bits: int

    @property
    def fits(self) -> bool:
        """Whether the operand fits its two's complement port, be the codes signed or unsigned."""
        lowest, highest = code_range(self.port_bits, signed=True)
        ends = {*code_range(self.bits, signed=False), *code_range(self.bits, signed=True)}
        extremes = [pack([value] * self.count, self.spacing) for value in ends]
        return lowest <= min(extremes) and max(extremes) <= highest


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
        Numbers that the device's logic adds on one carry chain.

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
    def activation(self) -> PackedOperand:
        """Operand of activations."""
        spacing = self.activation_step * self.field_bits
        return PackedOperand(self.act_bits, self.token_pack, spacing, self.activation_port_bits)

    @property
    def weight(self) -> PackedOperand:
        """Operand of weights."""
        spacing = self.weight_step * self.field_bits
        return PackedOperand(self.weight_bits, self.row_pack, spacing, self.weight_port_bits)

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
    def zero_points(self) -> int:
        """Zero points of all fields, packed: added to a sum whose fields are signed."""
        return pack([1 << self.field_bits - 1] * self.products, self.field_bits)

    @property
    def _possible(self) -> bool:
        return (
            self.products * self.field_bits <= self.sum_bits
            and self.activation.fits
            and self.weight.fits
            and all(self.depth(*mode) >= 1 for mode in SIGN_MODES)
        )


@cache
def packing(weight_bits: int, act_bits: int, multiplier: str) -> Packing:
    """Find the densest packing, and among equals the one with the longest cascades.

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
    """Pack an operand: ``Σ values[i] · 2^(i · spacing)``."""
    return sum(value << index * spacing for index, value in enumerate(values))


def unpack(total: int, fields: int, field_bits: int) -> list[int]:
    """Take the fields of a sum of packed products apart, lowest first; all are unsigned."""
    return [total >> index * field_bits & ((1 << field_bits) - 1) for index in range(fields)]


def _options(weight_bits: int, act_bits: int, multiplier: Multiplier) -> Iterator[Packing]:
    a_bits, b_bits = multiplier.a_bits, multiplier.b_bits
    sizes = range(multiplier.sum_bits, 0, -1)
    for tokens, rows, field_bits in product(TOKEN_PACKS, ROW_PACKS, sizes):
        for ports, steps in (((b_bits, a_bits), (1, tokens)), ((a_bits, b_bits), (rows, 1))):
            option = Packing(
                weight_bits=weight_bits,
                act_bits=act_bits,
                token_pack=tokens,
                row_pack=rows,
                field_bits=field_bits,
                activation_step=steps[0],
                weight_step=steps[1],
                activation_port_bits=ports[0],
                weight_port_bits=ports[1],
                sum_bits=multiplier.sum_bits,
                adder_terms=multiplier.adder_terms,
            )
            if option._possible:
                yield option


def _product_range(w_bits: int, w_signed: bool, a_bits: int, a_signed: bool) -> tuple[int, int]:
    corners = [
        w * a for w, a in product(code_range(w_bits, w_signed), code_range(a_bits, a_signed))
    ]
    return min(corners), max(corners)
