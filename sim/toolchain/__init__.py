"""From SystemVerilog to a simulation that cocotb drives: find Verilator, build once, run often.

::

    counter = builder.build([Path("counter.sv")], top="counter")
    results = counter.run("benches.counter", plusargs=["+seed=1"])

A build is cached by its content: sources, flags, and the versions of everything that made it.

- :mod:`sim.toolchain.tools`: Verilator, g++, make
- :mod:`sim.toolchain.design`: what is built, and the key that it is kept under
- :mod:`sim.toolchain.cache`: the folder of builds, and its lock
- :mod:`sim.toolchain.builder`, :mod:`sim.toolchain.workshop`: the build, in a scratch directory
- :mod:`sim.toolchain.simulation`: a run of it, and the tests' results
"""
