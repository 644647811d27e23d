"""The host driver: classify images on an engine, from a board's own Python or over a cable.

Python 3.9 and NumPy, nothing else; Pillow only where picture files are opened.

- :mod:`boards.host.accelerator`: the driver; :mod:`boards.host.layout`: memory as it divides it
- :mod:`boards.host.transport`: what it needs of a device, five primitives;
  :mod:`boards.host.closing`: both close at the end of a ``with`` block
- :mod:`boards.host.devices`: transports by their names; :mod:`boards.host.uio`,
  :mod:`boards.host.pynq`: two of them
- :mod:`boards.host.registers`: the registers, generated; :mod:`boards.host.faults`: them in words
- :mod:`boards.host.package`: the one file that it reads
- :mod:`boards.host.meaning`, :mod:`boards.host.table`: outputs as logits or tokens, and as text
- :mod:`boards.host.plugins`: transports of other packages
- :mod:`boards.host.preprocessing`, :mod:`boards.host.pictures`: a picture file becomes pixels
- :mod:`boards.host.features`: tokens become features
- :mod:`boards.host.serial`: the serial transport; :mod:`boards.host.link`: numbered requests;
  :mod:`boards.host.frames`: their frames; :mod:`boards.host.line`: a port of the system
- :mod:`boards.host.reports`: JSON files that are whole or not there
- :mod:`boards.host.errors`, :mod:`boards.host.checks`: one clear line for what is wrong
"""
