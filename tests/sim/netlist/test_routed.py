"""Open inputs, and inversions in parameters, of nextpnr's netlist become cells and wires."""

import copy
import json

import pytest

from rtl.errors import UserError
from sim.netlist.routed import RoutedNetlist

INPUTS = {"A", "B", "C", "D", "M", "F1", "FXA", "FXB", "CLK", "LSR", "CE", "DI", "I", "T",
          "IOLDO", "IOLTO", "CLKA", "WEA", "ADA3", "CEA", "WCK", "WRE"}  # fmt: skip


def cell(kind, parameters, **nets):
    return {
        "type": kind,
        "parameters": parameters,
        "attributes": {},
        "port_directions": {name: "input" if name in INPUTS else "output" for name in nets},
        "connections": {name: [] if net is None else [net] for name, net in nets.items()},
    }


CELLS = {
    "table": cell("TRELLIS_COMB", {"INITVAL": "0110000000000000"}, A=2, B=3, C=None, D=None, F=4),
    "wide": cell("TRELLIS_COMB", {"INITVAL": "1" * 16}, A=2, B=2, D=2, M=3, FXA=4, FXB=2, OFX=5),
    "beside": cell("TRELLIS_FF", {"SD": "1 ", "CEMUX": "1 "}, CLK=6, LSR=None, DI=4, Q=7),
    "alone": cell("TRELLIS_FF", {"SD": "0 ", "LSRMUX": "INV"}, CLK=6, LSR=None, M=5, Q=8),
    "ram": cell(
        "DP16KD",
        {"CLKAMUX": "INV", "WEAMUX": "INV", "ADA3MUX": "1 ", "CEAMUX": "CEA"}
        | {f"INITVAL_{i:02X}": f"{i % 2}" * 320 for i in range(64)},
        CLKA=6, WEA=None, ADA3=None, CEA=None, DOA0=9,
    ),
    "pad": cell("TRELLIS_IO", {"DIR": "OUTPUT"}, B=10, I=9, T=None, O=None, IOLDO=None, IOLTO=None),
    "blocked": cell("TRELLIS_COMB", {"MODE": "RAMW_BLOCK"}, F=None),
}  # fmt: skip
PORTS = {"x": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [10]}}


def netlist(folder, **changes):
    cells = copy.deepcopy(CELLS)
    for name, change in changes.items():
        cells[name]["parameters"] |= change.get("parameters", {})
        cells[name]["connections"] |= change.get("nets", {})
    module = {"ports": PORTS, "cells": cells, "netnames": {"n": {"bits": list(range(2, 11))}}}
    path = folder / "routed.json"
    path.write_text(json.dumps({"creator": "nextpnr", "modules": {"top": module}}))
    return RoutedNetlist(path)


def explicit(folder):
    netlist(folder).write_verilog(folder / "out.v")
    written = json.loads((folder / "out.explicit.json").read_text())
    return written["modules"]["routed"]["cells"], (folder / "out.v").read_text()


def test_open_inputs_and_parameters_become_wires(tmp_path):
    cells, verilog = explicit(tmp_path)
    assert "blocked" not in cells
    nets = {name: each["connections"] for name, each in cells.items()}
    assert (nets["table"]["C"], nets["table"]["D"]) == (["1"], ["1"])
    assert nets["beside"]["LSR"] == nets["alone"]["LSR"] == ["0"]
    assert nets["alone"]["DI"] == [5] and "M" not in nets["alone"]
    assert cells["alone"]["parameters"]["LSRMUX"] == "LSR"
    assert cells["wide"]["parameters"]["IS_Z1"] == "1"
    assert (
        nets["ram"]["ADA3"] == ["1"] and nets["ram"]["WEA"] == ["0"] and nets["ram"]["CEA"] == ["1"]
    )
    assert cells["ram$CLKA"]["type"] == "INV" and nets["ram$CLKA"]["A"] == [6]
    assert nets["ram"]["CLKA"] == nets["ram$CLKA"]["Z"]
    content = cells["ram"]["parameters"]["CONTENT"]
    assert len(content) == 20_480 and content[-320:] == "0" * 320 and content[:320] == "1" * 320
    assert (nets["pad"]["A"], nets["pad"]["Z"]) == ([9], [10])
    assert "module routed(" in verilog and "DP16KD" in verilog and "TRELLIS_FF" not in verilog


def test_a_flipped_bit(tmp_path):
    flipped = netlist(tmp_path)
    flipped.flip("table", 13)
    assert flipped.cells["table"]["parameters"]["INITVAL"] == "0100000000000000"
    with pytest.raises(UserError, match=r"^the netlist has no look-up table 'ram'$"):
        flipped.flip("ram", 0)
    with pytest.raises(UserError, match=r"^bit 16 of 'table': it has bits 0 to 15$"):
        flipped.flip("table", 16)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("table", {"parameters": {"MODE": "DPRAM"}}, "LUT RAM 'table' has content or a constant"),
        ("pad", {"parameters": {"DIR": "BIDIR"}}, "pin 'pad' goes both ways"),
        ("pad", {"nets": {"IOLDO": [3]}}, "pin 'pad' goes both ways or has a register"),
    ],
)
def test_what_has_no_model_is_refused(tmp_path, name, change, message):
    with pytest.raises(UserError, match=message):
        netlist(tmp_path, **{name: change}).write_verilog(tmp_path / "out.v")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"modules": {}}', '{"creator": "x", "modules": {"a": 1}}']
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "routed.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"is no netlist after place and route$"):
        RoutedNetlist(path)


def test_a_block_ram_without_a_model_is_refused(tmp_path):
    widths = {"DATA_WIDTH_A": f"{36:032b}", "DATA_WIDTH_B": f"{18:032b}"}
    with pytest.raises(
        UserError, match=r"^block RAM 'ram': no model with ports of \(36, 18\) bits$"
    ):
        netlist(tmp_path, ram={"parameters": widths}).write_verilog(tmp_path / "out.v")
