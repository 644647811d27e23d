"""Small parts that every unit is made of.

- :mod:`rtl.lib.streams`: connect, fork, skid buffer, queue
- :mod:`rtl.lib.counts`: counters with flags, credits
- :mod:`rtl.lib.pipeline`: delay lines, pairs of a tree's level, choice by index
- :mod:`rtl.lib.reset`: the reset as a tree of registers
- :mod:`rtl.lib.devices`: vendors' parts and their primitives
- :mod:`rtl.lib.emit`: Verilog with every repeated block emitted once
"""
