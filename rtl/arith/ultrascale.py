"""Primitives of UltraScale devices: one DSP block, and an adder of three numbers.

Only the variants of components that :func:`rtl.lib.emit.primitives` asks for use them.
sim/hardware/ultrascale.sv models for simulation what they do, and nothing else of them: an
instance that sets another attribute or uses another pin does not build there. Source: AMD UG579
(DSP48E2) and UG574 (LUTs, CARRY8), UG912 (HLUTNM).
"""

from typing import NamedTuple

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Shape, Signal, Value, signed

A_BITS, B_BITS, SUM_BITS = 27, 18, 48  # of the multiplier and of the sum
PORT_A_BITS = 30  # of which the multiplier takes A_BITS
CARRIES = 8  # of a CARRY8
PARITY, MAJORITY = 0x6996, 0xE8  # INIT of a LUT4, of a LUT3
PAIRED = "_digit_"  # in the name of a LUT that shares the place of another

UNUSED_CONTROLS = """
    CEALUMODE CECARRYIN CEINMODE RSTA RSTALLCARRYIN RSTALUMODE RSTB RSTC RSTCTRL RSTD RSTINMODE
    RSTM RSTP
""".split()
"""Enables of registers that are not there, and resets."""

MULTIPLY = 0b01_01  # OPMODE[3:0], Y and X: both halves of the product
PREADDER = 0b00100  # INMODE: D + A2; without the pre-adder 0: A2 alone
Z_ZERO, Z_BELOW, Z_C = 0b000, 0b001, 0b011  # OPMODE[6:4]
# OPMODE[8:7]: W is 0, or, with the upper bit, the attribute RND.


class DspSum(NamedTuple):
    """Sum of a DSP block: ``p``, and the same for the block above it."""

    p: Value
    above: Value


def fits(a: Shape, b: Shape, total: Shape) -> bool:
    """Whether the multiplier takes factors and a sum of these shapes (their order is free)."""
    b_bits, a_bits = sorted(map(_signed_bits, (a, b)))
    return b_bits <= B_BITS and a_bits <= A_BITS and total.width <= SUM_BITS


def dsp48e2(
    m: Module,
    name: str,
    a: Value,
    b: Value,
    *,
    operand_registers: int = 1,
    d: Value | None = None,
    c: Value | None = None,
    below: Value | None = None,
    constant: int = 0,
    add_constant: Value | None = None,
) -> DspSum:
    """One DSP48E2: ``p = (a + d) · b + (c or below) + (constant where add_constant)``.

    Its registers are all in use. Latency 2 + ``operand_registers`` cycles, one more with ``d``.
    ``c`` comes two cycles before ``p``, as does ``add_constant``; ``below`` one.

    Parameters
    ----------
    m : Module
    name : str
        Name of the submodule.
    a, b : Value
        Factors of at most 27 and 18 bits (unsigned: 26 and 17), in either order without ``d``.
    operand_registers : int
        Registers in front of the multiplier, 1 or 2.
    d : Value, optional
        Addend of at most 27 bits; its sum with ``a`` wraps at 27.
    c, below : Value, optional
        Addend of at most 48 bits, one of the two; ``below`` is another block's ``above``.
    constant : int
        Addend of 48 bits.
    add_constant : Value, optional
        Whether the constant is added.
    """
    if d is None:
        b, a = sorted((a, b), key=lambda factor: _signed_bits(factor.shape()))
    p, above = Signal(signed(SUM_BITS), name=f"{name}_p"), Signal(SUM_BITS, name=f"{name}_above")
    a_registers, b_registers = operand_registers, operand_registers + (d is not None)
    z = Z_C if c is not None else Z_ZERO if below is None else Z_BELOW
    w_is_constant = Const(0, 1) if add_constant is None else add_constant
    opmode = Cat(Const(MULTIPLY, 4), Const(z, 3), Const(0, 1), w_is_constant)
    m.submodules[name] = Instance(
        "DSP48E2",
        # Data paths.
        p_A_INPUT="DIRECT",
        p_B_INPUT="DIRECT",
        p_AMULTSEL="A" if d is None else "AD",
        p_BMULTSEL="B",
        p_PREADDINSEL="A",
        p_USE_MULT="MULTIPLY",
        p_USE_SIMD="ONE48",
        p_RND=Const(constant, SUM_BITS),
        # Registers.
        p_AREG=a_registers,
        p_ACASCREG=a_registers,
        p_BREG=b_registers,
        p_BCASCREG=b_registers,
        p_DREG=1,
        p_ADREG=1,
        p_CREG=1,
        p_MREG=1,
        p_PREG=1,
        p_OPMODEREG=0 if add_constant is None else 1,
        p_ALUMODEREG=0,
        p_INMODEREG=0,
        p_CARRYINREG=0,
        p_CARRYINSELREG=0,
        # Not in use: pattern detector, wide XOR.
        p_USE_PATTERN_DETECT="NO_PATDET",
        p_AUTORESET_PATDET="NO_RESET",
        p_USE_WIDEXOR="FALSE",
        i_CLK=ClockSignal(),
        i_A=_extended(a, PORT_A_BITS),
        i_B=_extended(b, B_BITS),
        i_C=_extended(Const(0) if c is None else c, SUM_BITS),
        i_D=_extended(Const(0) if d is None else d, A_BITS),
        i_PCIN=Const(0, SUM_BITS) if below is None else below,
        i_OPMODE=opmode,
        i_INMODE=Const(0 if d is None else PREADDER, 5),
        i_ALUMODE=Const(0, 4),
        i_CARRYIN=Const(0, 1),
        i_CARRYINSEL=Const(0, 3),
        # A register that is not there, or that nothing needs, holds still.
        i_CEA1=Const(a_registers == 2, 1),
        i_CEA2=Const(1, 1),
        i_CEB1=Const(b_registers == 2, 1),
        i_CEB2=Const(1, 1),
        i_CEC=Const(c is not None, 1),
        i_CED=Const(d is not None, 1),
        i_CEAD=Const(d is not None, 1),
        i_CEM=Const(1, 1),
        i_CEP=Const(1, 1),
        i_CECTRL=Const(add_constant is not None, 1),
        **{f"i_{pin}": Const(0, 1) for pin in UNUSED_CONTROLS},
        o_P=p,
        o_PCOUT=above,
    )
    return DspSum(p, above)


def add_three(m: Module, name: str, terms: list[Value], bits: int) -> Value:
    """Sum of three numbers, its low ``bits``, on one carry chain.

    One LUT per bit, of two outputs: the sum of the three bits and of the carry-save digit from the
    bit below, and the digit for the bit above; CARRY8 adds sums and digits. The two functions are
    two cells in one place (HLUTNM), rather than a LUT6_2, where the digit from below would seem to
    reach the one above.
    """
    is_signed = any(term.shape().signed for term in terms)
    columns = bits if is_signed else min(bits, max(len(term) for term in terms))
    extended = [
        _extended(term[:columns] if len(term) > columns else term, columns) for term in terms
    ]
    sums, digits = [], [Const(0, 1)]
    for column in range(columns):
        total, digit = Signal(name=f"{name}_sum_{column}"), Signal(name=f"{name}_digit_{column}")
        inputs = {f"i_I{n}": term[column] for n, term in enumerate(extended)}
        place = {"a_HLUTNM": f"{name}_{column}"}
        m.submodules[f"{name}_sum_{column}"] = Instance(
            "LUT4", p_INIT=Const(PARITY, 16), **inputs, i_I3=digits[-1], o_O=total, **place
        )
        m.submodules[f"{name}{PAIRED}{column}"] = Instance(
            "LUT3", p_INIT=Const(MAJORITY, 8), **inputs, o_O=digit, **place
        )
        sums.append(total)
        digits.append(digit)
    return _carry_chain(m, name, Cat(sums, digits[-1]), Cat(digits[:-1]), bits)


def _carry_chain(m: Module, name: str, sums: Value, digits: Value, bits: int) -> Value:
    """CARRY8s: ``digits`` plus what makes them ``sums`` by exclusive or, in ``bits`` bits."""
    size = -(-bits // CARRIES) * CARRIES
    sums, digits = _extended(sums[:bits], size), _extended(digits, size)
    outputs, carry = [], Const(0, 1)
    for low in range(0, size, CARRIES):
        o, co = Signal(CARRIES, name=f"{name}_o_{low}"), Signal(CARRIES, name=f"{name}_co_{low}")
        m.submodules[f"{name}_carry_{low}"] = Instance(
            "CARRY8",
            p_CARRY_TYPE="SINGLE_CY8",
            i_CI=carry,
            i_S=sums[low : low + CARRIES],
            i_DI=digits[low : low + CARRIES],
            o_O=o,
            o_CO=co,
        )
        outputs.append(o)
        carry = co[-1]
    return Cat(outputs)[:bits]


def _signed_bits(shape: Shape) -> int:
    return shape.width + (not shape.signed)


def _extended(value: Value, bits: int) -> Value:
    """``value`` as ``bits`` bits, as its shape says."""
    filler = value[-1] if value.shape().signed and len(value) else Const(0, 1)
    return Cat(value, filler.replicate(bits - len(value)))
