"""Training that begins with a trained network, or learns from one.

- ``source``: where such a network lies, and the hash of its content
- ``fit``: a network read for a space, and what the supernet has no counterpart to
- ``start``: the supernet at its largest size with the weights of a network
- ``teacher``: a network whose answers training learns from
- ``classes``: which of a network's classes are a task's
"""
