"""The integer model's numbers in PyTorch.

- ``codes``, ``dyadic``, ``reshape``: rounding and ranges; factors; pixels, patches and heads
- ``products``: exact sums of products of codes
- ``integer``: the whole integer model, in integers: no gradients, every code as in golden;
  ``parts``: its layers, LayerNorms, softmax
- ``fused``: elementwise functions that can be compiled
- ``device``: the device that computes
"""
