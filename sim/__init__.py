"""The simulation: golden model, Verilator toolchain, whole networks on the RTL. Needs no torch.

- :mod:`sim.golden`: the reference interpreter of an integer model
- :mod:`sim.host`: the network behind the features
- :mod:`sim.toolchain`: Verilator, found and run; builds in a cache
- :mod:`sim.testbench`: an engine, a memory and the taps, as one build
- :mod:`sim.tops`: the same with the top of a Zynq and a memory of several ports
- :mod:`sim.benches`: what runs inside a simulation
- :mod:`sim.runner`: networks on the simulated engine, with :mod:`sim.taps` and :mod:`sim.check`,
  which compare every write with golden
- :mod:`sim.device`: a simulated engine as a device of the host driver
- :mod:`sim.pins`: ``python -m sim.pins``, a board's whole top at its serial pins
- :mod:`sim.remote`: what both have in common: a simulation that is commanded from outside
- :mod:`sim.netlist`: ``python -m sim.netlist``, the netlist after place and route at its pins
- :mod:`sim.run`: ``python -m sim.run``, images to classes; :mod:`sim.shown_tokens`: a picture of
  the patches that a network keeps
- :mod:`sim.bench`: ``python -m sim.bench``, cycles of a network, with :mod:`sim.timeline`
- :mod:`sim.flips`: ``python -m sim.flips``, programs with flipped bits
- :mod:`sim.calibration`: cycles of the RTL beside those of the timing model
- :mod:`sim.random_model`, :mod:`sim.random_layers`, :mod:`sim.workloads`: networks with random
  weights
"""
