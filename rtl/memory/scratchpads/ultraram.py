"""UltraRAM of UltraScale+ devices: words of any width, made of URAM288_BASE side by side.

Source: AMD UG573 (UltraRAM) and UG974 (URAM288_BASE). sim/hardware/ultrascale.sv models for
simulation what is used here, and nothing else of it.

Both ports have one clock. Port A reads and port B writes; in a cycle, A comes before B. Nothing
here depends on that: a read that collides with a write is as undefined as with block RAM, and so
is what the memory holds at the start.
"""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

WORDS, WORD_BITS = 4096, 72
BYTE_BITS = 8  # bits of a word that share a write enable; a part has bytes of its own
BYTES = WORD_BITS // BYTE_BITS
ADDRESS_BITS, ROW_BITS = 23, 12  # of the pins, and of a memory alone, without a cascade


def ultrarams(parts: int, part_bits: int) -> int:
    """Count the URAM288 that hold up to ``WORDS`` words, of parts with a write enable each."""
    return -(-parts * _part_bytes(part_bits) // BYTES)


def ultraram(
    m: Module,
    name: str,
    *,
    read_enable: Value,
    read_word: Value,
    write_enable: Value,
    write_word: Value,
    write_data: Value,
) -> Value:
    """Up to ``WORDS`` words with a write enable per part; data two cycles after a read.

    The second cycle is that of the output register, which is always enabled.

    Parameters
    ----------
    m : Module
    name : str
        Beginning of the submodules' names.
    read_enable : Value
    read_word, write_word : Value
        The lowest ``ROW_BITS`` count.
    write_enable : Value
        A bit per part.
    write_data : Value
        The parts, of equal width.
    """
    parts = len(write_enable)
    bits = len(write_data) // parts
    enable = Signal(parts, name=f"{name}_enable")
    m.d.comb += enable.eq(write_enable)
    size = _part_bytes(bits)
    padding = Const(0, size * BYTE_BITS - bits)
    data = Cat(Cat(write_data[i * bits : (i + 1) * bits], padding) for i in range(parts))
    enables = Cat(bit.replicate(size) for bit in enable)
    words = []
    for index in range(ultrarams(parts, bits)):
        word = Signal(WORD_BITS, name=f"{name}_word_{index}")
        piece = data[index * WORD_BITS : (index + 1) * WORD_BITS]
        m.submodules[f"{name}_{index}"] = _uram288(
            read_enable=read_enable,
            read_word=read_word,
            write_enable=enables[index * BYTES : (index + 1) * BYTES],
            write_word=write_word,
            write_data=piece,
            read_data=word,
        )
        words.append(word)
    whole = Cat(words)
    return Cat(whole[i * size * BYTE_BITS :][:bits] for i in range(parts))


def _part_bytes(bits: int) -> int:
    return -(-bits // BYTE_BITS)


def _uram288(
    *,
    read_enable: Value,
    read_word: Value,
    write_enable: Value,
    write_word: Value,
    write_data: Value,
    read_data: Signal,
) -> Instance:
    """One UltraRAM, with port A to read and port B to write."""
    zero = Const(0, 1)
    return Instance(
        "URAM288_BASE",
        p_BWE_MODE_A="PARITY_INDEPENDENT",  # bytes of 8 bits, the parity bits are the ninth
        p_BWE_MODE_B="PARITY_INDEPENDENT",
        p_OREG_A="TRUE",
        i_CLK=ClockSignal(),
        i_SLEEP=zero,
        i_ADDR_A=_extended(read_word[:ROW_BITS], ADDRESS_BITS),
        i_EN_A=read_enable,
        i_RDB_WR_A=zero,
        i_BWE_A=Const(0, BYTES),
        i_DIN_A=Const(0, WORD_BITS),
        o_DOUT_A=read_data,
        i_ADDR_B=_extended(write_word[:ROW_BITS], ADDRESS_BITS),
        i_EN_B=write_enable.any(),
        i_RDB_WR_B=Const(1, 1),
        i_BWE_B=_extended(write_enable, BYTES),
        i_DIN_B=_extended(write_data, WORD_BITS),
        **{f"i_OREG_CE_{port}": Const(port == "A", 1) for port in "AB"},
        **{f"i_{pin}_{port}": zero for pin in UNUSED for port in "AB"},
    )


UNUSED = ("RST", "OREG_ECC_CE", "INJECT_SBITERR", "INJECT_DBITERR")
"""Pins of each port that stay at 0: the reset of the output, error correction."""


def _extended(value: Value, bits: int) -> Value:
    """``value`` with zeros above it."""
    return Cat(value, Const(0, bits - len(value)))
