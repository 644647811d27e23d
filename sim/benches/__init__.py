"""cocotb benches of whole networks, which run inside a simulation.

- :mod:`sim.benches.host`: the host, which reads and writes the registers
- :mod:`sim.benches.network`: a run of a compiled network
- :mod:`sim.benches.device`: an engine that a driver outside the simulation uses
"""
