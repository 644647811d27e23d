"""Levels of logic between registers, measured on a netlist that Yosys wrote."""
