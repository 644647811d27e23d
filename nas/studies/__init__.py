"""Studies of the method on the digits, each one command that can be interrupted and continued.

- ``options``: the command line of ``python -m nas.studies``
- ``alone``: subnets with the supernet's weights, beside the same subnets trained alone
- ``ranking``: scores that select subnets, held against the test's cross-entropy
- ``splits``: the main job on five splits of the digits
- ``answers``: answers of subnets on the test images, as integer models
- ``resampling``: intervals of means over two kinds of things that were drawn
"""
