"""A board's whole top at its serial pins, driven by the host's own driver: ``python -m sim.pins``.

- :mod:`sim.pins.line`: the pins of a simulated design as a line of the driver
- :mod:`sim.pins.top`: the executable of a board's top, from its RTL
- :mod:`sim.pins.rates`: frames per second of the engine and of the serial line, apart
- :mod:`sim.pins.outcome`: images classified over the pins, beside golden and the prediction
"""
