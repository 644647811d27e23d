"""What a slice holds is one level; what it cannot hold are two."""

import pytest

from rtl.build.netlist.flat import Graph
from tests.rtl.build.netlist.netlists import Cells, design


def levels(cells):
    """Levels to each register, and with carry chains and the LUTs in front of them apart."""
    graph = Graph(design(top=cells), "top")
    results = []
    for edges in (graph.levels, graph.apart):
        arrival = graph.arrivals(edges)[graph.ends]
        results.append(
            {
                graph.end(n).cell.name.removeprefix("ff_"): int(arrival[n])
                for n in range(len(graph.ends))
                if graph.end(n).pin == "D"
            }
        )
    return results


def test_each_lut_is_a_level():
    cells = Cells(["clk"])
    cells.registers("x>a x>b two>c")
    cells.lut("a b", "one")
    cells.lut("one a", "two")
    one, apart = levels(cells)
    assert one == apart
    assert one["c"] == 2


def adder(cells, bits=4, di=None):
    """A chain over ``a`` and ``b`` with its LUTs; the sums are ``o0`` and up."""
    for n in range(bits):
        cells.lut(f"a{n} b{n}", f"s{n}")
    for low in range(0, bits, 4):
        span = range(low, low + 4)
        cells(
            "CARRY4",
            CI=f"co{low - 1}" if low else "0",
            CYINIT="0",
            S=" ".join(f"s{n}" for n in span),
            DI=di or " ".join(f"a{n}" for n in span),
            O=" ".join(f"o{n}" for n in span),
            CO=" ".join(f"co{n}" for n in span),
        )


def test_a_long_addition_is_one_level():
    cells = Cells(["clk"])
    cells.registers(" ".join(f"x>a{n} x>b{n} o{n}>q{n}" for n in range(12)))
    adder(cells, 12)
    one, apart = levels(cells)
    assert {one[f"q{n}"] for n in range(12)} == {1}
    assert {apart[f"q{n}"] for n in range(12)} == {2}


def test_a_sum_depends_on_the_bits_below_it_alone():
    cells = Cells(["clk"])
    cells.registers("x>r0 x>r1 x>a1 x>b1 x>a3 x>b3 x>a0 x>b0 o0>q0 o1>q1 o2>q2 o3>q3 co3>q4")
    cells.lut("r0 r1", "a2")
    cells.lut("r0 r1", "b2")
    adder(cells)
    assert levels(cells)[0].items() >= {"q0": 1, "q1": 1, "q2": 2, "q3": 2, "q4": 2}.items()


def test_two_additions_in_a_row_are_two_levels():
    cells = Cells(["clk"])
    cells.registers(" ".join(f"x>a{n} x>b{n} p{n}>q{n}" for n in range(4)))
    adder(cells)
    for n in range(4):
        cells.lut(f"o{n} a{n}", f"t{n}")
    names = {pin: " ".join(f"{net}{n}" for n in range(4)) for pin, net in (("S", "t"), ("O", "p"))}
    cells("CARRY4", CI="0", CYINIT="0", DI="a0 a1 a2 a3", **names)
    one, apart = levels(cells)
    assert one["q3"] == 2
    assert apart["q3"] == 4


def test_what_drives_s_without_a_lut_passes_one():
    cells = Cells(["clk"])
    cells.registers("x>a o>q c>r")
    cells("CARRY8", CI="0", CI_TOP="0", S="a 0 0 0 0 0 0 0", DI="a 0 0 0 0 0 0 0", O="o", CO="c")
    assert levels(cells)[0].items() >= {"q": 1, "r": 1}.items()


@pytest.mark.parametrize(
    ("s", "di", "expected"),
    [
        ("a b", "a b", 1),
        ("a b c", "c d e", 1),  # five inputs: O6 and O5 of one LUT
        ("a b c", "d e f", 2),
        ("a b c d e f", "a b", 2),  # no O5 beside a LUT of six
        ("a b c d e f", "a b c d e", 2),
    ],
)
def test_what_drives_di_shares_the_lut_before_s_if_it_can(s, di, expected):
    cells = Cells(["clk"])
    cells.registers(" ".join(f"x>{net}" for net in "abcdef") + " carry>q")
    cells.lut(s, "s")
    cells.lut(di, "di")
    cells("CARRY4", CI="0", CYINIT="0", S="s 0 0 0", DI="di 0 0 0", O="o", CO="carry")
    assert levels(cells)[0]["q"] == expected


def test_what_drives_di_and_more_is_elsewhere_unless_the_lut_has_place():
    cells = Cells(["clk"])
    cells.registers("x>a x>b carry>q")
    cells.lut("a b", "s")
    cells.lut("a b", "di")
    for n in range(2):
        cells("CARRY4", CI="0", CYINIT="0", S=f"{'s' if n else 0} 0 0 0", DI="di 0 0 0", CO=f"c{n}")
    cells.lut("c0 c1", "carry")
    assert levels(cells)[0]["q"] == 3


def test_a_lut_before_two_chains_is_a_level_before_both():
    cells = Cells(["clk"])
    cells.registers("x>a x>b o0>q o1>r")
    cells.lut("a b", "s")
    for n in range(2):
        cells("CARRY4", CI="0", CYINIT="0", S="s 0 0 0", DI="0 0 0 0", O=f"o{n}", CO=f"c{n}")
    assert levels(cells)[0].items() >= {"q": 2, "r": 2}.items()


def test_three_numbers_on_one_chain():
    """O6 goes straight up, O5 to the LUT and the chain of the next bit: a level more."""
    cells = Cells(["clk"])
    cells.registers("x>a0 x>a1 o0>q0 o1>q1")
    cells("LUT6_2", I0="a0", I1="a1", I2="0", I3="0", I4="0", I5="1", O5="d0", O6="s0")
    cells("LUT6_2", I0="a1", I1="0", I2="0", I3="d0", I4="0", I5="1", O5="d1", O6="s1")
    cells("CARRY4", CI="0", CYINIT="0", S="s0 s1 0 0", DI="0 d0 0 0", O="o0 o1", CO="c0 c1")
    one, apart = levels(cells)
    assert (one["q0"], one["q1"]) == (1, 2)
    assert (apart["q0"], apart["q1"]) == (2, 3)


def test_two_chains_in_one_cell():
    cells = Cells(["clk"])
    cells.registers("x>a x>b o3>q o4>r")
    cells.lut("a b", "c")
    zeros = "0 0 0 0 0 0 0 0"
    cells(
        "CARRY8",
        parameters={"CARRY_TYPE": "DUAL_CY4"},
        CI="c",
        CI_TOP="a",
        S=zeros,
        DI=zeros,
        O="o0 o1 o2 o3 o4",
        CO="",
    )
    assert levels(cells)[0].items() >= {"q": 2, "r": 1}.items()


def test_a_wide_multiplexer_belongs_to_its_luts():
    cells = Cells(["clk"])
    cells.registers("x>a x>b x>s o>q p>r late>t")
    for n in range(4):
        cells.lut("a b", f"i{n}")
    cells("MUXF7", I0="i0", I1="i1", S="s", O="m0")
    cells("MUXF7", I0="i2", I1="i3", S="s", O="m1")
    cells("MUXF8", I0="m0", I1="m1", S="s", O="o")
    cells.lut("a b", "select")
    cells("MUXF7", I0="a", I1="b", S="select", O="p")
    cells.lut("o p", "late")
    assert levels(cells)[0].items() >= {"q": 1, "r": 2, "t": 3}.items()


def test_a_lut_before_two_multiplexers_is_a_level_before_both():
    cells = Cells(["clk"])
    cells.registers("x>a x>b x>s o0>q o1>r")
    cells.lut("a b", "i")
    for n in range(2):
        cells("MUXF7", I0="i", I1="0", S="s", O=f"o{n}")
    assert levels(cells)[0].items() >= {"q": 2, "r": 2}.items()


def test_a_lut_memory_is_read_in_a_level_and_written_at_the_clock():
    cells = Cells(["clk"])
    cells.registers("x>a x>b o>q p>r")
    cells.lut("a b", "w")
    cells("RAM64X1D", "ram", A="w", DPRA="a", D="w", WE="w", WCLK="clk", SPO="p", DPO="o")
    assert levels(cells)[0].items() >= {"q": 1, "r": 2}.items()
    graph = Graph(design(top=cells), "top")
    arrival = graph.arrivals(graph.levels)
    ends = [graph.end(n) for n in range(len(graph.ends))]
    assert {e.pin: int(arrival[e.net]) for e in ends if e.cell.name == "ram"} == {
        "A": 1, "DPRA": 0, "D": 1, "WE": 1, "WCLK": 0,
    }  # fmt: skip
