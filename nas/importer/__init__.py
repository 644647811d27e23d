"""Trained vision transformers from elsewhere, in one canonical form.

- ``network``: the canonical form, a plain vision transformer in float64
- ``forward``: what it computes, with every tensor of docs/numerics.md by name
- ``source``: :func:`load`, from a file or a name
- ``options``: what commands ask about such a network
- ``onnx_source``: ONNX files; ``onnx_graph``, ``onnx_parts``, ``onnx_blocks``, ``onnx_host``
- ``known``: files that do not say what they need; ``checks``: of any network
"""

from nas.importer.network import FloatNetwork
from nas.importer.options import ImportOptions
from nas.importer.source import load

__all__ = ["FloatNetwork", "ImportOptions", "load"]
