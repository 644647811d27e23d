"""Levels of logic between registers, measured on a netlist that Yosys wrote.

- :mod:`rtl.build.netlist.cells`: cells of the netlist
- :mod:`rtl.build.netlist.kinds`: which pins of a cell timing joins
- :mod:`rtl.build.netlist.slices`: cells that share a slice
- :mod:`rtl.build.netlist.module`, :mod:`rtl.build.netlist.flat`: one module, then all, as a graph
- :mod:`rtl.build.netlist.levels`: the longest paths
- :mod:`rtl.build.netlist.fanout`: pins that a net drives
- :mod:`rtl.build.netlist.outputs`: blocks without output registers
"""
