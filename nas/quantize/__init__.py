"""Fake quantization: the integer model's operations on float32 tensors that hold codes.

Every value is a *code*, an integer in a float tensor, with its zero point subtracted ("centred"):
a hidden activation coded 0 ... 63 with zero point 7 is here -7 ... 56. Real value = code x scale.
Sums of products of codes are exact in float32 up to 2**24, and the factors between codes are the
very multipliers and shifts of the integer model (:mod:`nas.quantize.dyadic`), so these operations
give the codes of docs/numerics.md but for a rounding of float32 at a tie.

Each operation is one autograd function with its backward pass written out, for speed: rounding
passes gradients through (straight-through), clipping stops them. Scales enter as natural
logarithms, so a factor ``in * step / out`` hands the same sum of gradients, with a sign, to each
of the three. With both ends of a scale taken together this is the gradient of LSQ (Esser et al.,
arXiv 1902.08153).

One operation per module, each with the function that makes its stored constants. Training and
export both call that function, so every constant has one source.

- ``codes``, ``dyadic``, ``steps``, ``reshape``: rounding and ranges; factors; first scales; shapes
- ``linear``, ``norm``, ``attention``, ``gelu``: the operations
- ``integer``: the whole integer model, in integers: no gradients, every code as in golden
"""
