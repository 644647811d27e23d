"""Post-training quantization: a trained float network to the integer model, without retraining.

- ``fold``: exact rewritings that make a network easier to quantize
- ``codes``, ``scales``: which code each tensor gets; scales from samples
- ``moments``, ``rounding``: inputs of a layer; rows of weights rounded against them
- ``block``: one block after the other; ``pipeline``: the whole network
- ``sensitivity``, ``budget``: which row tiles get 8 bits within a number of cycles
- ``network``, ``export``: the result in floating point, and as an integer model
- ``rebuild``: the result in floating point, back from the integer model
"""
