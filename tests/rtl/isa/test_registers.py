"""The register table: no word twice, and its page is current."""

from pathlib import Path

from rtl.isa import registers


def test_registers_do_not_overlap():
    taken = [
        registers.OFFSETS[register.name] + 4 * word
        for register in registers.REGISTERS
        for word in range(register.words)
    ]
    assert taken == list(range(0, 4 * registers.WORDS, 4))
    assert len(registers.OFFSETS) == len(registers.REGISTERS)


def test_registers_reference_is_current():
    page = Path(__file__).parents[3] / "docs" / "registers.md"
    assert page.read_text() == registers.reference(), "run python -m rtl.isa.reference"
