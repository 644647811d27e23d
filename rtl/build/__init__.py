"""Verilog of an engine, its cells by Yosys, and its levels of logic: ``python -m rtl.build``."""
