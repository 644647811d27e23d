"""Models of the ECP5's cells: ours against what is documented, Yosys' with corrections."""

import json
import random

import pytest

from sim.netlist.build import LENIENT
from sim.netlist.cells import CORRECTIONS, OWN, SHARED, yosys_models
from sim.toolchain.builder import build

WIDTHS = (1, 2, 4, 9, 18)
MODES = ("NORMAL", "WRITETHROUGH", "READBEFOREWRITE")
STAGES = (
    {},
    {"OUTPUT": 0},
    {"INPUTA": 0, "INPUTB": 1, "OUTPUT": 2},
    {"PIPELINE": 3},
    {"INPUTA": 3, "INPUTB": 3, "PIPELINE": 1, "OUTPUT": 0},
)


def rams():
    """Every width and mode on either port; with and without output registers; both ports as one."""
    numbers = random.Random(3)
    for index in range(15):
        yield {
            "width": {"a": WIDTHS[index % 5], "b": WIDTHS[index * 2 % 5]},
            "mode": {"a": MODES[index % 3], "b": MODES[(index + index // 3) % 3]},
            "outreg": index % 2 == 1,
            "asynchronous": index % 4 > 1,
            "content": [numbers.getrandbits(18) for _ in range(1024)],
        }
    for index in range(2):
        yield {
            "width": {"a": 36, "b": 36},
            "mode": {"a": MODES[0], "b": MODES[0]},
            "outreg": index == 1,
            "asynchronous": False,
            "content": [numbers.getrandbits(18) for _ in range(1024)],
        }


def pins(names, signal, bits):
    return ", ".join(f".{names}{bit}({signal}[{bit}])" for bit in range(bits))


def ram_instance(index, ram):
    content = sum(row << 20 * at for at, row in enumerate(ram["content"]))
    parameters = [f".CONTENT(20480'h{content:x})",
                  f'.RESETMODE("{"ASYNC" if ram["asynchronous"] else "SYNC"}")']  # fmt: skip
    ports = []
    for port in "ab":
        upper = port.upper()
        parameters += [
            f".DATA_WIDTH_{upper}({ram['width'][port]})",
            f'.WRITEMODE_{upper}("{ram["mode"][port]}")',
            f'.REGMODE_{upper}("{"OUTREG" if ram["outreg"] else "NOREG"}")',
        ]
        ports += [
            pins(f"DI{upper}", f"di_{port}", 18),
            pins(f"AD{upper}", f"ad_{port}", 14),
            pins(f"DO{upper}", f"do_{port}_{index}", 18),
            pins(f"CS{upper}", "3'b000", 3).replace("3'b000[", "none["),
            f".CE{upper}(ce_{port}), .OCE{upper}(oce_{port}), .WE{upper}(we_{port})",
            f".RST{upper}(rst_{port}), .CLK{upper}(clk)",
        ]
    return f"DP16KD #({', '.join(parameters)}) ram_{index}({', '.join(ports)});"


def multiplier_instance(index, stages):
    parameters = ", ".join(
        f'.REG_{stage}_{kind}("{kind}{number}")'
        for stage, number in stages.items()
        for kind in ("CLK", "CE", "RST")
    )
    ports = [pins("A", "a", 18), pins("B", "b", 18), pins("P", f"p_{index}", 36),
             pins("CE", "ce", 4), pins("RST", "rst", 4), pins("CLK", "clks", 4),
             ".SIGNEDA(signed_a), .SIGNEDB(signed_b)"]  # fmt: skip
    return f"MULT18X18D #({parameters}) multiplier_{index}({', '.join(ports)});"


def harness(chosen):
    outputs = [f"output [17:0] do_{port}_{i}" for i in range(len(chosen)) for port in "ab"]
    outputs += [f"output [35:0] p_{i}" for i in range(len(STAGES))]
    inputs = ["input clk, loop_reset, signed_a, signed_b", "input [17:0] a, b",
              "input [3:0] ce, rst", "output loop_clock, locked"]  # fmt: skip
    for port in "ab":
        inputs += [f"input [17:0] di_{port}", f"input [13:0] ad_{port}",
                   f"input ce_{port}, oce_{port}, we_{port}, rst_{port}"]  # fmt: skip
    body = [
        "wire [2:0] none = 0;",
        "wire [3:0] clks = {4{clk}};",
        "EHXPLLL loop(.CLKI(clk), .CLKOP(loop_clock), .CLKFB(loop_clock), .RST(loop_reset),"
        " .LOCK(locked));",
        *(ram_instance(index, ram) for index, ram in enumerate(chosen)),
        *(multiplier_instance(index, stages) for index, stages in enumerate(STAGES)),
    ]
    return f"module cells({', '.join(inputs + outputs)});\n" + "\n".join(body) + "\nendmodule\n"


@pytest.mark.sim
def test_our_models_do_what_is_documented(tmp_path):
    chosen = list(rams())
    (tmp_path / "harness.v").write_text(harness(chosen))
    (tmp_path / "job.json").write_text(json.dumps({"rams": chosen, "multipliers": STAGES}))
    simulation = build([OWN, tmp_path / "harness.v"], "cells", arguments=LENIENT, optimize="-O0")
    results = simulation.run(
        "tests.benches.ecp5_cells", env={"PULSAR_JOB": str(tmp_path / "job.json")}
    )
    assert len(results.tests) == 3


def test_yosys_models_are_those_installed_with_corrections():
    text = yosys_models()
    original = (SHARED / "common_sim.vh").read_text()
    for mistake, correction in CORRECTIONS.items():
        assert mistake in original and mistake not in text
        assert correction in text
    for name in ("LUT4", "CCU2C", "TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_DPR16X4"):
        assert f"module {name}" in text
    assert "specify" not in text
