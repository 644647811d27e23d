"""The load unit, from an instruction to the scratchpads.

- :mod:`rtl.memory.load.check`: addresses checked, bytes asked for
- :mod:`rtl.memory.load.loaders`: weights, parameters, exponents; residual words
- :mod:`rtl.memory.load.cut`: pixels and GELU tables, cut at any byte
- :mod:`rtl.memory.load.unit`: the router between them, and the whole unit
"""
