"""Arithmetic: pipelines without flow control, each a formula and a latency.

- :mod:`rtl.arith.packing`: small products that share a multiplier
- :mod:`rtl.arith.cascade`: cascades of packed multipliers
- :mod:`rtl.arith.adder_tree`: sums of many values
- :mod:`rtl.arith.multiply`: multipliers with an adder
- :mod:`rtl.arith.shift`: saturating shift, normalisation
- :mod:`rtl.arith.requantize`: accumulators become codes
- :mod:`rtl.arith.exp2`, :mod:`rtl.arith.reciprocal`, :mod:`rtl.arith.rsqrt`: functions
- :mod:`rtl.arith.ultrascale`: primitives of UltraScale devices
"""
