"""Builds of a small engine, and what synthesis might have counted of it."""

from rtl.build.__main__ import PROG, main
from rtl.build.synthesis import Module, Resources, Synthesis, Utilization
from rtl.cli import command
from tests.rtl.build.netlist.netlists import Cells, design


def run(*args):
    return command(main, prog=PROG, args=args)


def used(lut):
    """As if synthesis had counted this."""
    total, own = Resources(dsp=3, lut=lut, ff=7, bram36=1.5), Resources(ff=2)
    rest = Resources(dsp=3, lut=lut, ff=5, bram36=1.5)
    modules = {"pulsar_small": Module(1, own), "pulsar_small.matmul": Module(1, rest)}
    used = Utilization(total, {"pulsar_small.matmul": rest}, modules)
    return lambda *_, **__: Synthesis(used, netlist(), {})


def netlist():
    """Six LUTs in a row from one register of ``matmul`` to another; a memory without a register."""
    matmul = Cells(["clk"], ["irq"])
    matmul.registers("n6>count n0>row")
    for n in range(6):
        matmul.lut(f"n{n}" if n else "row", f"n{n + 1}")
    matmul.lut("n6 n0", "irq")
    matmul("RAMB36E2", "bank", {"DOA_REG": "0"}, ADDRARDADDR="row", DOUTADOUT="n0")
    top = Cells(["clk"], ["irq"])
    top.instance("pulsar_small.matmul", "matmul", matmul, clk="clk", irq="irq")
    return design(**{"pulsar_small": top, "pulsar_small.matmul": matmul})
