"""Post-training quantization: a trained float network to the integer model, without retraining.

- ``job``: all steps in their order; ``method``: choices that it takes; ``images``: a folder of them
- ``fold``: exact rewritings that make a network easier to quantize; ``arrange``: those that need no
  images, and the order of the hidden units
- ``sensitivity``, ``budget``, ``choice``: which row tiles get 8 bits within a number of cycles
- ``pipeline``: the whole network; ``block``: one block; ``kept``: finished blocks on disk
- ``codes``, ``scales``: which code each tensor gets; scales from samples
- ``moments``, ``rounding``: inputs of a layer; rows of weights rounded against them
- ``trials``: what rounding aims at, chosen on images that are left out
- ``network``, ``export``: the result in floating point, and as an integer model
- ``rebuild``: the result in floating point, back from the integer model
"""
