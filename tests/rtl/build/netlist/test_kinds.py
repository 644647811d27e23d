"""Every cell that synthesis may leave is logic, or a register on purpose."""

import re

from rtl.build.netlist.kinds import ASYNCHRONOUS, COMBINATIONAL, is_register, joined
from rtl.build.synthesis import FAMILIES


def test_no_cell_is_a_register_by_omission():
    kinds = {kind for family in FAMILIES.values() for kind in family.cells}
    kinds.discard("PAIRED_LUT")  # a LUT under another name, for counting alone
    assert {kind for kind in kinds if is_register(kind)} - set(ASYNCHRONOUS) == {
        "FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE", "DSP48E2", "RAMB36E2", "RAMB18E2",
        "URAM288_BASE",
        "TRELLIS_FF", "MULT18X18D", "DP16KD", "PDPW16KD",
    }  # fmt: skip


def test_no_lut_memory_is_forgotten():
    kinds = {kind for family in FAMILIES.values() for kind in family.cells}
    memories = {kind for kind in kinds if re.match(r"RAM\d|SRL|TRELLIS_DPR", kind)}
    assert memories == set(ASYNCHRONOUS) & kinds
    assert not set(ASYNCHRONOUS) & set(COMBINATIONAL)


def pairs(kind, inputs, outputs):
    return sorted(joined(kind, inputs.split(), outputs.split()))


def test_pins_that_are_joined():
    assert pairs("LUT6_2", "I0 I1 I2 I3 I4 I5", "O5 O6") == sorted(
        [(f"I{n}", "O5") for n in range(5)] + [(f"I{n}", "O6") for n in range(6)]
    )
    assert pairs("LUT4", "A B C D", "Z") == [("A", "Z"), ("B", "Z"), ("C", "Z"), ("D", "Z")]
    assert pairs("RAM64M8", "ADDRA ADDRH DIA DIH WE WCLK", "DOA DOH") == [
        ("ADDRA", "DOA"), ("ADDRH", "DOH"),
    ]  # fmt: skip
    assert pairs("RAM64X1D", "A0 A5 DPRA5 D WE", "SPO DPO") == [
        ("A0", "SPO"), ("A5", "SPO"), ("DPRA5", "DPO"),
    ]  # fmt: skip
    assert pairs("SRL16E", "A3 CE CLK D", "Q") == [("A3", "Q")]
    assert pairs("CCU2C", "A0 D1 CIN", "S0 COUT") == [
        ("A0", "COUT"), ("A0", "S0"), ("CIN", "COUT"), ("CIN", "S0"), ("D1", "COUT"),
    ]  # fmt: skip
    assert pairs("FDRE", "D CE", "Q") == []
