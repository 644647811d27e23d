"""Verilog of an engine, its cells by Yosys, and its levels of logic: ``python -m rtl.build``.

- :mod:`rtl.build.verilog`, :mod:`rtl.build.zynq`: Verilog, and that of a Zynq's top
- :mod:`rtl.build.block_design`, :mod:`rtl.build.overlay`: a Zynq's board, for Vivado and for Linux
- :mod:`rtl.build.vivado`: Vivado, where it is on PATH
- :mod:`rtl.build.child`: a program that ends with the command
- :mod:`rtl.build.synthesis`: resources, counted by Yosys
- :mod:`rtl.build.netlist`: levels of logic between registers
- :mod:`rtl.build.route`, :mod:`rtl.build.bitstream`: an ECP5, placed and routed, without a vendor
- :mod:`rtl.build.absorb`: registers taken into block RAMs and multipliers, on the way
- :mod:`rtl.build.content`: ``python -m rtl.build.content``, bitstreams that hold a network
- :mod:`rtl.build.columns`: words of memory in block RAMs, found and exchanged
- :mod:`rtl.build.utilization`: resources, counted by Vivado
- :mod:`rtl.build.tables`: tables of the command
"""
