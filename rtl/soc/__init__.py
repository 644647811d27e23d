"""An engine with all that a board needs around it.

Of a board without a processor: a serial bridge, memory on the chip, pins.

- :mod:`rtl.soc.uart`, :mod:`rtl.soc.line`: bytes over two wires, and the silence between them
- :mod:`rtl.soc.requests`, :mod:`rtl.soc.answers`: frames to requests, answers to frames
- :mod:`rtl.soc.rules`: which requests are new and allowed; the bit period
- :mod:`rtl.soc.blocks`, :mod:`rtl.soc.lite`: accesses of memory and of registers
- :mod:`rtl.soc.bridge`: all this together, docs/serial.md in hardware
- :mod:`rtl.soc.memory`: block RAM behind AXI4
- :mod:`rtl.soc.system`: engine, memory and bridge
- :mod:`rtl.soc.ulx3s`: the ULX3S, its clock and its pins

Of a Zynq UltraScale+:

- :mod:`rtl.soc.zynq`: the engine as a block of a design in AMD's tools
- :mod:`rtl.soc.interleaver`: the engine's port spread over several
- :mod:`rtl.soc.pieces`, :mod:`rtl.soc.narrowing`: bursts cut for it; its writes
- :mod:`rtl.soc.timing`: memory behind it, as the timing model sees it
"""
