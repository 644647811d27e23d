"""The control unit, from the host to the units.

- :mod:`rtl.control.registers`: the host's registers behind AXI4-Lite
- :mod:`rtl.control.run`: status of a run, first fault, watchdog, counters, reset
- :mod:`rtl.control.fetch`: the program, fetched once per image
- :mod:`rtl.control.decode`: instructions checked and handed to the queues of their units
- :mod:`rtl.control.check`: the program's checksum, bits that have no meaning
- :mod:`rtl.control.semaphores`: semaphores between units, and the issue that waits for them
- :mod:`rtl.control.completion`: instructions and images that are done
- :mod:`rtl.control.unit`: all of these, wired together
"""
