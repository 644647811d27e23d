"""The scratchpads.

- :mod:`rtl.memory.scratchpads.bank`: the memory that they are made of
- :mod:`rtl.memory.scratchpads.ultraram`: such a memory of UltraRAM's primitives
- :mod:`rtl.memory.scratchpads.scratchpad`: their base: guards, faults, taps
- :mod:`rtl.memory.scratchpads.loaded`: weights, parameters, exponents, pixels
- :mod:`rtl.memory.scratchpads.activations`: activations, three writers
- :mod:`rtl.memory.scratchpads.attention`: keys, values, raw scores
- :mod:`rtl.memory.scratchpads.residual`: the residual stream, three readers, two writers
- :mod:`rtl.memory.scratchpads.selection`: importance of keys, places of tokens that stay
"""
