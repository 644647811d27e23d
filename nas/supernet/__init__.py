"""The supernet: a vision transformer whose subnets share weights, and its export.

Fake quantization, the integer model's operations on float32 tensors that hold codes:

- ``linear``, ``norm``, ``attention``, ``gelu``, ``pool``: one operation each, with its gradients
  and the function that makes its stored constants; training and export both call that function
- ``residual``: the stream that blocks add to; ``selection``: the tokens that stay in it
- ``steps``: first scales

Every value is a *code*, an integer in a float tensor, with its zero point subtracted ("centred"):
a hidden activation coded 0 ... 63 with zero point 7 is here -7 ... 56. Real value = code x scale.
Sums of products of codes are exact in float32 up to 2**24, and the factors between codes are the
very multipliers and shifts of the integer model (:mod:`nas.numerics.dyadic`), so these operations
give the codes of docs/numerics.md but for a rounding of float32 at a tie. Rounding passes gradients
through (straight-through), clipping stops them. Scales enter as natural logarithms, so a factor
``in * step / out`` hands the same sum of gradients, with a sign, to each of the three. With both
ends of a scale taken together this is the gradient of LSQ (Esser et al., arXiv 1902.08153).

The network:

- ``layers``: elastic layers and the transformer block
- ``supernet``: the whole network, in float mode and in quantized mode
- ``portions``: how many images run at a time
- ``initial``: scales to begin the quantized mode with
- ``importance``: which channels and heads a smaller subnet keeps
- ``sensitivity``: which row tiles get 8 bits first
- ``permutation``: reordering of channels, heads and rows, with the optimizer's state
- ``export``: the integer model of a subnet
- ``contract``: quantized mode against golden, operation by operation
"""
