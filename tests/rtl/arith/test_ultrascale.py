# amaranth: UnusedElaboratable=no
"""Components of UltraScale's primitives equal the inferred ones, in every cycle; and the models."""

import json
import random
import re
import subprocess
from pathlib import Path

import pytest
from amaranth.hdl import Module, Shape, signed, unsigned
from amaranth.lib import wiring

from rtl.arith import ultrascale
from rtl.arith.adder_tree import AdderTree
from rtl.arith.cascade import Cascade
from rtl.arith.exp2 import Exp2
from rtl.arith.multiply import AddMultiply, MultiplyAdd
from rtl.arith.packing import packing
from rtl.arith.requantize import RequantizeLane
from rtl.build.netlist.flat import Graph
from rtl.build.netlist.levels import measure
from rtl.build.netlist.outputs import unregistered
from rtl.build.synthesis import Resources, synthesise
from rtl.build.verilog import emit_verilog, yosys
from rtl.lib.devices import Primitives, primitives_of
from rtl.lib.emit import emit_rtlil
from rtl.matmul.tile import ArrayTile
from sim.testbench import HARDWARE, WAIVERS
from sim.toolchain.builder import build
from sim.toolchain.simulation import SimulationError
from sim.toolchain.tools import find_verilator
from tests.rtl.matmul.test_tile import stimuli

MODELS = HARDWARE / "ultrascale.sv"
BENCH = "tests.rtl.arith.variants.bench"
WARM_UP = 32  # cycles, longer than any pipeline


def flat_verilog(component: wiring.Component, name: str, primitives, folder: Path) -> Path:
    """Verilog of one module: two variants have submodules of the same names."""
    (folder / f"{name}.il").write_text(emit_rtlil(component, name, primitives))
    script = f"read_rtlil {name}.il; flatten; chformal -remove; proc -nomux; clean"
    yosys(["-q", "-p", f"{script}; write_verilog -norename -noattr {name}.v"], cwd=folder)
    return folder / f"{name}.v"


def ports(component: wiring.Component, flow) -> list[tuple[str, Shape]]:
    """Names and shapes of inputs or outputs, the lowest of the concatenation first."""
    return [
        ("__".join(map(str, path)), Shape.cast(member.shape))
        for path, member, _ in component.signature.flatten(component)
        if member.flow is flow
    ]


def both_variants(component: wiring.Component) -> str:
    """SystemVerilog with the two variants behind the same inputs."""
    sizes, pins = {}, {}
    for flow, word in ((wiring.In, "inputs"), (wiring.Out, "VARIANT")):
        low, pins[word] = 0, []
        for name, shape in ports(component, flow):
            if shape.width:
                pins[word].append(f".{name}({word}[{low + shape.width - 1}:{low}])")
            low += shape.width
        sizes[word] = low - 1
    pins = ", ".join([".clk", ".rst(1'b0)", *pins["inputs"], *pins["VARIANT"]])
    return f"""
        module both (
          input logic clk,
          input logic [{sizes["inputs"]}:0] inputs,
          output logic [{sizes["VARIANT"]}:0] plain, ultrascale
        );
          plain one({pins.replace("VARIANT", "plain")});
          ultrascale two({pins.replace("VARIANT", "ultrascale")});
        endmodule
    """


def run_both(make, lines: list[int], folder: Path) -> list[list[int]]:
    """Answers of the plain and of the primitive variant to a line of inputs per cycle."""
    sources = [
        flat_verilog(make(), name, primitives, folder)
        for name, primitives in (("plain", None), ("ultrascale", Primitives.ULTRASCALE))
    ]
    plain, own = (
        {kind for kind in ("DSP48E2", "CARRY8", "LUT3", "URAM288_BASE") if kind in text.read_text()}
        for text in sources
    )
    assert own and not plain
    (folder / "both.sv").write_text(both_variants(make()))
    (folder / "inputs.json").write_text(json.dumps([f"{line:x}" for line in lines]))
    design = build([WAIVERS, *sources, MODELS, folder / "both.sv"], "both", optimize="-O0")
    design.run(BENCH, testcase="both", env={"FOLDER": str(folder)})
    return json.loads((folder / "answers.json").read_text())


def corners(shapes: list[Shape], rng: random.Random, count: int) -> list[int]:
    """Lines of inputs: random ones, and each input at an end of its range or at 0."""
    lines = []
    for _ in range(count):
        line = low = 0
        for shape in shapes:
            ones = (1 << shape.width) - 1
            ends = [0, ones, ones >> 1, ones ^ ones >> 1]
            line |= rng.choice([rng.getrandbits(shape.width + 1) & ones, rng.choice(ends)]) << low
            low += shape.width
        lines.append(line)
    return lines


def concatenated(values: dict[str, int], shapes: list[tuple[str, Shape]]) -> int:
    line = low = 0
    for name, shape in shapes:
        line |= (values[name] & (1 << shape.width) - 1) << low
        low += shape.width
    return line


COMPONENTS = {
    "cascade_of_8": Cascade(packing(4, 4, "dsp48e2"), 8),
    "cascade_of_8_bits": Cascade(packing(4, 8, "dsp48e2"), 4),
    "multiply": MultiplyAdd(unsigned(17), unsigned(26), unsigned(43)),
    "multiply_add": MultiplyAdd(signed(27), signed(16), signed(43), signed(42)),
    "low_bits": MultiplyAdd(signed(9), unsigned(11), unsigned(13), unsigned(7)),
    "add_multiply": AddMultiply(signed(27), unsigned(17), signed(44)),
    "requantize": RequantizeLane(6),
    "exp2": Exp2(6),
    "tree_of_8": AdderTree(8, unsigned(11), 3),
    "tree_of_16": AdderTree(16, signed(16), 3),
}


class All(wiring.Component):
    """Every kind of component with two variants, side by side: one build."""

    def __init__(self):
        super().__init__({name: wiring.Out(part.signature) for name, part in COMPONENTS.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, part in COMPONENTS.items():
            m.submodules[name] = part
            wiring.connect(m, part, wiring.flipped(getattr(self, name)))
        return m


@pytest.mark.sim
def test_variants_are_equal_in_every_cycle(tmp_path):
    inputs, outputs = (ports(All(), flow) for flow in (wiring.In, wiring.Out))
    lines = corners([shape for _, shape in inputs], random.Random(1), 2000)
    answers = run_both(All, lines, tmp_path)[WARM_UP:]
    low = 0
    for name, shape in outputs:
        mask = (1 << shape.width) - 1
        plain, primitive = ([line[n] >> low & mask for line in answers] for n in range(2))
        assert plain == primitive, name
        assert len(set(plain)) > 30, name
        low += shape.width


@pytest.mark.sim
def test_tiles_of_both_variants_are_golden(tmp_path):
    """All sign modes, corner operands, passes and bubbles."""
    packs = packing(4, 6, "dsp48e2")
    inputs, lines, expected = ports(ArrayTile(16, packs), wiring.In), [], {}
    for seed in range(12):
        cycles, sums = stimuli(random.Random(seed), 16, packs)
        expected |= {len(lines) + cycle: value for cycle, value in sums.items()}
        lines += [concatenated(cycle, inputs) for cycle in cycles]
    answers = run_both(lambda: ArrayTile(16, packs), lines, tmp_path)
    assert len(expected) > 100
    for cycle, value in expected.items():
        assert answers[cycle] == [value, value]


@pytest.mark.sim
def test_cascades_of_both_variants_exhaustively(tmp_path):
    designs = Path(__file__).parent / "variants"
    for variant, primitives in (("plain", None), ("ultrascale", Primitives.ULTRASCALE)):
        cascade = Cascade(packing(4, 6, "dsp48e2"), 2)
        name = f"cascade_{variant}"
        (tmp_path / f"{name}.v").write_text(emit_verilog(cascade, name, primitives))
    sources = [*sorted(tmp_path.glob("*.v")), MODELS, designs / "exhaustive.sv"]
    design = build([WAIVERS, *sources], "exhaustive")
    design.run(BENCH, testcase="exhaustive", env={"FOLDER": str(tmp_path)})
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts == {"checked": 1 << 22, "wrong": 0}


INSTANCE = """
    module top (input logic clk, input logic [6:0] mode, output logic [47:0] p);
      logic [47:0] above;
      DSP48E2 #({attributes}) dsp (
        .CLK(clk), .A(30'h3), .B(18'h5), .C(48'h0), .D(27'h0), .PCIN(48'h0), .PCOUT(above),
        .OPMODE({{2'b0, mode}}), .INMODE(5'h0), .ALUMODE(4'h0), .CARRYINSEL(3'h0), .CARRYIN(1'b0),
        .CEA1(1'b0), .CEA2(1'b1), .CEB1(1'b0), .CEB2(1'b1), .CEC(1'b0), .CED(1'b0), .CEAD(1'b0),
        .CEM(1'b1), .CEP(1'b1), .CECTRL(1'b0), .CEALUMODE(1'b0), .CECARRYIN(1'b0), .CEINMODE(1'b0),
        .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
        .RSTCTRL(1'b0), .RSTALUMODE(1'b0), .RSTINMODE(1'b0), .RSTALLCARRYIN(1'b0),
        .P(p){pins}
      );
    endmodule
"""
STATIC = ".OPMODEREG(0), .ALUMODEREG(0), .INMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0)"


def verilate(folder: Path, text: str) -> tuple[int, str]:
    (folder / "top.sv").write_text(text)
    command = [find_verilator().executable, "--lint-only", "-Wall", "--top-module", "top"]
    result = subprocess.run(
        [*command, WAIVERS, folder / "top.sv", MODELS], capture_output=True, text=True
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.sim
@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('.A_INPUT("CASCADE")', "A_INPUT CASCADE"),
        ('.AMULTSEL("B")', "AMULTSEL B"),
        ('.PREADDINSEL("B")', "PREADDINSEL B"),
        ('.USE_MULT("NONE")', "USE_MULT NONE"),
        ('.USE_SIMD("TWO24")', "USE_SIMD TWO24"),
        ('.USE_PATTERN_DETECT("PATDET")', "USE_PATTERN_DETECT PATDET"),
        (".AREG(0), .ACASCREG(0)", "AREG 0"),
        (".BREG(2)", "BREG 2, BCASCREG 1"),
        (".MREG(0)", "MREG 0"),
        (".PREG(0)", "PREG 0"),
        (".CREG(0)", "CREG 0"),
        (".MASK(48'h1)", "Parameter not found: 'MASK'"),
    ],
)
def test_the_model_refuses_other_attributes(tmp_path, attribute, message):
    attributes = f"{STATIC}, {attribute}"
    status, messages = verilate(tmp_path, INSTANCE.format(attributes=attributes, pins=""))
    assert status
    assert message in messages


@pytest.mark.sim
def test_the_model_refuses_registers_and_pins_that_it_lacks(tmp_path):
    status, messages = verilate(tmp_path, INSTANCE.format(attributes=STATIC, pins=""))
    assert status == 0, messages
    _, messages = verilate(tmp_path, INSTANCE.format(attributes="", pins=""))
    assert "no model of OPMODEREG 1, ALUMODEREG 1" in messages
    _, messages = verilate(tmp_path, INSTANCE.format(attributes=STATIC, pins=", .ACIN(30'h0)"))
    assert "Pin not found: 'ACIN'" in messages


@pytest.mark.sim
def test_other_primitives_refuse_too(tmp_path):
    text = "module top (input logic i, output logic o, output logic [7:0] x, y); {} endmodule"
    for inputs, init in ((3, "8'h01"), (4, "16'h0001")):
        pins = ", ".join(f".I{n}(i)" for n in range(inputs))
        lut = f"LUT{inputs} #(.INIT({init})) lut({pins}, .O(o));"
        _, messages = verilate(tmp_path, text.replace("{}", lut))
        assert f"LUT{inputs}: no model of INIT {init.partition('h')[2]}" in messages
    carry = (
        'CARRY8 #(.CARRY_TYPE("DUAL_CY4")) carry(.CI(i), .S({8{i}}), .DI(8\'h0), .O(x), .CO(y));'
    )
    _, messages = verilate(tmp_path, text.replace("{}", carry))
    assert "CARRY8: no model of CARRY_TYPE DUAL_CY4" in messages


@pytest.mark.sim
@pytest.mark.parametrize(
    ("mode", "works"), [("0000101", True), ("0100101", False), ("0000000", False)]
)
def test_the_model_stops_at_other_modes(tmp_path, mode, works):
    source = tmp_path / "top.sv"
    text = INSTANCE.format(attributes=STATIC, pins="").replace("input logic [6:0] mode, ", "")
    source.write_text(text.replace("mode}", f"7'b{mode}}}"))
    design = build([WAIVERS, source, MODELS], "top", optimize="-O0")
    if works:
        design.run(BENCH, testcase="clocked")
    else:
        with pytest.raises(SimulationError, match="DSP48E2: no model of these OPMODE"):
            design.run(BENCH, testcase="clocked")


@pytest.mark.parametrize(
    ("device", "primitives"),
    [
        ("xczu9eg-ffvb1156-2-e", Primitives.ULTRASCALE),
        ("xcku5p-ffva676-1-e", Primitives.ULTRASCALE),
        ("xck26-sfvc784-2LV-c", Primitives.ULTRASCALE),
        ("xcu250-figd2104-2L-e", Primitives.ULTRASCALE),
        ("xc7z020clg400-1", None),
        ("xcvc1902-vsva2197-2MP-e-S", None),
        ("LFE5U-85F", Primitives.ECP5),
        ("Verilator", None),
    ],
)
def test_which_devices_have_the_primitives(device, primitives):
    assert primitives_of(device) is primitives


def test_what_fits_a_block():
    assert ultrascale.fits(unsigned(17), signed(27), signed(48))
    assert not ultrascale.fits(unsigned(18), signed(27), signed(48))
    assert not ultrascale.fits(signed(18), unsigned(27), signed(48))
    assert not ultrascale.fits(signed(18), signed(27), signed(49))


def test_both_functions_of_a_lut_say_where_they_are():
    verilog = emit_verilog(AdderTree(4, unsigned(8), 3), "tree", Primitives.ULTRASCALE)
    assert "HLUTNM" not in verilog  # two adders of two
    verilog = emit_verilog(AdderTree(8, unsigned(8), 3), "tree", Primitives.ULTRASCALE)
    places = re.findall(r"^ *\(\* HLUTNM = \"(\w+)\" \*\)\n *LUT[34] #", verilog, re.M)
    assert len(places) == 2 * len(set(places)) == verilog.count("LUT3 #") + verilog.count("LUT4 #")
    assert verilog.count("(*") == len(places)


def test_what_a_tile_takes():
    """All of a cascade is in the DSP blocks; an adder of three is one LUT per bit."""
    rtlil = emit_rtlil(ArrayTile(16, packing(4, 6, "dsp48e2")), "tile", Primitives.ULTRASCALE)
    synthesis = synthesise(rtlil, "tile", "xczu9eg-ffvb1156-2-e")
    total, modules = synthesis.used.total, synthesis.used.modules
    assert modules["cascade_2_18_27_4_11"].own == Resources(dsp=2)
    assert modules["dot_8_11_3.tree"].own.lut == 3 * 11 + 13
    assert total.dsp == 16
    assert total.lut <= 19 * 16
    assert total.ff <= 28 * 16
    graph = Graph(synthesis.netlist, "tile")
    assert measure(graph, 1).levels == 2
    blocks = unregistered(graph)
    assert blocks.dsp == blocks.dsp_without_mreg == 0
