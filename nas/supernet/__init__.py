"""The supernet: a vision transformer whose subnets share weights, and its export.

- ``layers``: elastic layers and the transformer block
- ``supernet``: the whole network, in float mode and in quantized mode
- ``initial``: scales to begin the quantized mode with
- ``sensitivity``: which row tiles get 8 bits first
- ``export``: the integer model of a subnet
- ``contract``: quantized mode against golden, operation by operation
"""
