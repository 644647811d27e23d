"""Reshapes between pixels and patches, and between channels and heads."""

from torch import Tensor


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """(batch, tokens, heads * head_dim) -> (batch, heads, tokens, head_dim)."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(batch, heads, tokens, head_dim) -> (batch, tokens, heads * head_dim)."""
    return x.transpose(1, 2).flatten(2)


def patches_of(pixels: Tensor, patch: int) -> Tensor:
    """Cut images into patches, pixels in the order of numerics section 3.

    (batch, height, width, channels) -> (batch, patches, patch * patch * channels).
    """
    batch, height, width, channels = pixels.shape
    grid = pixels.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(batch, -1, patch * patch * channels)
