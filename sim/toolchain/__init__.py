"""From SystemVerilog to a simulation that cocotb drives: find Verilator, build once, run often.

::

    counter = builder.build([Path("counter.sv")], top="counter")
    results = counter.run("benches.counter", plusargs=["+seed=1"])

A build is cached by its content: sources, flags, and the versions of everything that made it.
"""
