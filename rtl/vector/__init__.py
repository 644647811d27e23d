"""The vector units: LayerNorm, softmax, GELU, addition to the residual stream."""
