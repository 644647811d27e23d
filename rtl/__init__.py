"""The accelerator in Amaranth, its compiler, and what every package shares. Needs no torch.

- :mod:`rtl.config`, :mod:`rtl.board`: sizes of an engine; a board
- :mod:`rtl.cli`, :mod:`rtl.console`, :mod:`rtl.errors`, :mod:`rtl.files`: what commands share
- :mod:`rtl.model`: the integer model
- :mod:`rtl.isa`: the instruction set and the registers
- :mod:`rtl.compiler`: an integer model becomes a program and its memory image
- :mod:`rtl.timing`: exact cycles of a program
- :mod:`rtl.resources`: resources of an engine, without synthesis
- :mod:`rtl.engine`: the engine, wired from its units:
- :mod:`rtl.control`: the program, fetched and handed to the units
- :mod:`rtl.memory`: DMA, load unit, store unit, scratchpads
- :mod:`rtl.matmul`: operand feed, multiplier array, drain
- :mod:`rtl.vector`: LayerNorm, softmax, GELU, residual addition
- :mod:`rtl.arith`, :mod:`rtl.lib`: arithmetic and small parts that units are made of
- :mod:`rtl.soc`: the engine on a board of its own: serial bridge, memory on the chip, pins
- :mod:`rtl.build`: Verilog, synthesis, levels of logic
"""
