"""cocotb benches of whole networks, which run inside a simulation.

- :mod:`sim.benches.host`: the host, which reads and writes the registers
- :mod:`sim.benches.network`: a run of a compiled network
- :mod:`sim.benches.flips`: many damaged programs, one after another
- :mod:`sim.benches.device`: an engine that a driver outside the simulation uses
- :mod:`sim.benches.pins`: a board's serial pins, likewise
- :mod:`sim.benches.commands`: how both are told what to do
"""
