"""Vector units: LayerNorm and softmax, and the drain's GELU and residual addition.

A beat is what a unit moves in one cycle, here as on every stream and port.

- :mod:`rtl.vector.layernorm`: the norm unit
- :mod:`rtl.vector.norm_reads`: order of its reads, in two passes
- :mod:`rtl.vector.norm_lanes`: its channels, side by side
- :mod:`rtl.vector.norm_statistics`: pass 1, from sums to a token's scalars
- :mod:`rtl.vector.softmax`: the softmax unit
- :mod:`rtl.vector.softmax_reads`: order of its reads
- :mod:`rtl.vector.softmax_lanes`: its keys, side by side; their sum; the context's scale
- :mod:`rtl.vector.selection`: the selection of tokens beside it, its parts in order
- :mod:`rtl.vector.importance`: the class token's weights, added up over the heads
- :mod:`rtl.vector.threshold`: the importance of the last patch that stays
- :mod:`rtl.vector.places`: places of the tokens that stay
- :mod:`rtl.vector.gelu`: GELU by table
- :mod:`rtl.vector.residual`: addition to the residual stream
"""
