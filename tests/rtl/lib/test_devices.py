"""Parts of many vendors: their kind, how they are counted, their primitives."""

import pytest

from rtl.lib.devices import KINDS, Primitives, is_zynq, kind_of, primitives_of

ULTRASCALE, ECP5 = KINDS[:2]


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("xczu9eg-ffvb1156-2-e", ULTRASCALE.name),
        ("XCZU7EV-FFVC1156-2-E", ULTRASCALE.name),
        ("xck26-sfvc784-2LV-c", ULTRASCALE.name),
        ("xcu250-figd2104-2L-e", ULTRASCALE.name),
        ("xqzu5ev-ffrb900-1-i", ULTRASCALE.name),
        ("XCKU5P", ULTRASCALE.name),
        ("LFE5U-85F-6BG381C", ECP5.name),
        ("lfe5um5g-85f", ECP5.name),
        ("xc7z020clg400-1", "AMD 7 series"),
        ("xa7a35tcpg236-1I", "AMD 7 series"),
        ("xcvc1902-vsva2197-2MP-e-S", "AMD Versal"),
        ("GW2A-LV18PG256C8/I7", "Gowin"),
        ("iCE40UP5K-SG48", "Lattice iCE40"),
        ("5CSEBA6U23I7", "Altera Cyclone"),
        ("verilator", None),
        ("", None),
    ],
)
def test_part_numbers(device, name):
    kind = kind_of(device)
    assert (kind.name if kind else None) == name
    known = {ULTRASCALE.name: Primitives.ULTRASCALE, ECP5.name: Primitives.ECP5}
    assert primitives_of(device) is known.get(name)


def test_who_is_counted_and_has_a_script_for_vivado():
    assert [kind.synthesis for kind in KINDS[:2]] == ["xilinx", "ecp5"]
    assert not any(kind.synthesis for kind in KINDS[2:])
    assert [kind.name for kind in KINDS if not kind.is_amd] == [
        "Lattice ECP5", "Gowin", "Lattice iCE40", "Lattice Nexus", "Altera Cyclone",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "zynq"),
    [
        ("xczu9eg-ffvb1156-2-e", True),
        ("XCZU7EV-FFVC1156-2-E", True),
        ("xck26-sfvc784-2LV-c", True),
        ("xazu5ev-sfvc784-1-i", True),
        ("xcku040-ffva1156-2-e", False),
        ("xcvu9p-flga2104-2-i", False),
        ("xc7z020clg400-1", False),
        ("LFE5U-85F-6BG381C", False),
    ],
)
def test_which_parts_are_a_zynq(part, zynq):
    assert is_zynq(part) == zynq
    assert not zynq or kind_of(part) is ULTRASCALE
