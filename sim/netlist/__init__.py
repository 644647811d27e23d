"""The netlist after place and route, simulated at its pins: ``python -m sim.netlist``.

- :mod:`sim.netlist.cells`: models of the device's cells, from Yosys and our own
- :mod:`sim.netlist.routed`: the netlist to Verilog; a flipped bit
- :mod:`sim.netlist.content`: what block RAMs hold from the start
- :mod:`sim.netlist.build`: the executable
"""
