"""A netlist's simulation: models, Verilog, and the executable."""

from pathlib import Path

from sim.netlist.cells import OWN, instance_models
from sim.netlist.routed import TOP, RoutedNetlist
from sim.toolchain import builder
from sim.toolchain.simulation import Build

LENIENT = ("-Wno-lint", "-Wno-style", "-Wno-fatal", "-DNO_INCLUDES")
"""Verilator's flags: these sources are other tools'; -DNO_INCLUDES leaves out cells nobody uses."""


def build_netlist(netlist: RoutedNetlist, folder: Path) -> Build:
    """Write the netlist's Verilog to a folder and compile it, or find the executable in the cache.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    models, verilog = folder / "cells.v", folder / f"{TOP}.v"
    models.write_text(instance_models())
    netlist.write_verilog(verilog)
    return builder.build([OWN, models, verilog], TOP, arguments=LENIENT, optimize="-O1")
