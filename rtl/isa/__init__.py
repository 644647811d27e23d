"""The instruction set: one table, from which all else is derived.

- :mod:`rtl.isa.instructions`: the table; encoder, decoder, disassembler
- :mod:`rtl.isa.meaning`: every instruction as a loop nest
- :mod:`rtl.isa.scratchpads`, :mod:`rtl.isa.semantics`: the executable reference
- :mod:`rtl.isa.layouts`: the fields as the hardware sees them
- :mod:`rtl.isa.unit_port`: the port between the control unit and a unit
- :mod:`rtl.isa.faults`: codes and reports of faults
- :mod:`rtl.isa.registers`: the host's registers
- :mod:`rtl.isa.reference`: docs/isa.md and docs/registers.md
"""
