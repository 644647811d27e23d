"""Studies of the method on the digits, each one command that can be interrupted and continued.

- ``options``: the command line of ``python -m nas.studies``
- ``alone``: subnets with the supernet's weights, beside the same subnets trained alone
- ``resampling``: intervals of means over two kinds of things that were drawn
"""
