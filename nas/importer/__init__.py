"""Trained vision transformers from elsewhere, in one canonical form.

- ``network``: the canonical form, a plain vision transformer in float64
- ``forward``: what it computes, with every tensor of docs/numerics.md by name; ``selection``: the
  tokens that stay
- ``source``: :func:`load`, from a file or a name; ``options``: what else there is to say
- ``names``: timm's models by names that people have, and families that are none of these
- ``timm_source``: timm's models; ``timm_parts``: what the engine has not; ``weights``: their files
- ``transformers_source``: folders of that library; ``transformers_folder``: their files,
  ``transformers_names``: names of their tensors
- ``onnx_source``: ONNX files; ``onnx_graph``, ``onnx_attention``, ``onnx_simplify``,
  ``onnx_parts``, ``onnx_blocks``, ``onnx_host``
- ``resample``: positions for another image size
- ``pixels``: from images to pixels; ``known``: files that do not say what they need
- ``activations``: kinds of GELU; ``checks``, ``sizes``: of any network
"""

from nas.importer.options import ImportOptions
from nas.importer.source import load

__all__ = ["ImportOptions", "load"]
