"""Memory on and off the chip, from the AXI4 port to the scratchpads.

- :mod:`rtl.memory.axi`: AXI4 and AXI4-Lite
- :mod:`rtl.memory.dma`: one AXI4 port for all clients: :mod:`~rtl.memory.reader`,
  :mod:`~rtl.memory.writer`, :mod:`~rtl.memory.bursts`
- :mod:`rtl.memory.clients`, :mod:`rtl.memory.regions`: commands, and where they may go
- :mod:`rtl.memory.beats`: memory beats into words
- :mod:`rtl.memory.load`, :mod:`rtl.memory.store`: the units that execute LOAD and STORE
- :mod:`rtl.memory.ports`: payloads between units and scratchpads
- :mod:`rtl.memory.write_queue`: from a rigid pipeline to the activation scratchpad
- :mod:`rtl.memory.scratchpads`: the scratchpads
"""
