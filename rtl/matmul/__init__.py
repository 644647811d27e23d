"""Matmul unit: tokens times weights, keys or values, in the order in which data goes through it.

- :mod:`rtl.matmul.unit`: the whole
- :mod:`rtl.matmul.signals`: vocabulary of what travels between the parts
- :mod:`rtl.matmul.feed`: instructions become words of operands
- :mod:`rtl.matmul.loop_nest`: loops of an instruction, addresses of its operands
- :mod:`rtl.matmul.array`: every token lane with every row lane
- :mod:`rtl.matmul.tile`: dot products of a few tokens with a few rows
- :mod:`rtl.matmul.drain`: sums become codes
- :mod:`rtl.matmul.beats`: which lanes leave when, and where their values go
- :mod:`rtl.matmul.relocation`: where the values of tokens that stay go instead
- :mod:`rtl.matmul.writes`: values enter the scratchpads
"""
