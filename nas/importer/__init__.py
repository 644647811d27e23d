"""Trained vision transformers from elsewhere, in one canonical form.

- ``network``: the canonical form, a plain vision transformer in float64
- ``forward``: what it computes, with every tensor of docs/numerics.md by name
"""
