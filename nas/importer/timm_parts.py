"""Parts of timm's plain vision transformers, and what the engine has not."""

from collections.abc import Iterator
from typing import Any

import timm
import torch
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import Block, VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from rtl.errors import UserError


def build(
    name: str, classes: int | None, image_size: int | None, device: str = "cpu", **more: Any
) -> Any:
    """Build a timm model without pretrained weights.

    Parameters
    ----------
    name : str
        As :func:`nas.importer.names.full_name` returns it.
    classes, image_size : int, optional
        Instead of the model's own.
    device : str
        ``"meta"`` for sizes alone.
    more
        Arguments of the model.

    Raises
    ------
    UserError
        If the model's patches do not fit the image.
    """
    if classes is not None:
        more["num_classes"] = classes
    if image_size is not None:
        more["img_size"] = image_size
    try:
        with torch.device(device):
            model: Any = timm.create_model(name, pretrained=False, **more)
    except (AssertionError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"timm cannot build '{name}' with {more}: {reason}") from None
    if type(getattr(model, "patch_embed", None)) is PatchEmbed:
        (height, width), patch = model.patch_embed.img_size, model.patch_embed.patch_size[0]
        if height % patch or width % patch:
            raise UserError(
                f"--image-size {height} is not a multiple of the patch's {patch} pixels:"
                f" {height - height % patch or patch} is"
            )
    return model


def refuse(name: str, model: nn.Module) -> None:
    """Raise ``UserError`` if the engine has no counterpart to a part of a timm model."""
    if missing := ", ".join(_missing(model)):
        raise UserError(f"timm model '{name}' has what the engine has not: {missing}")


def has_front(model: Any) -> bool:
    """Say whether a timm model that is not refused has a LayerNorm in front of its blocks."""
    return not isinstance(model.norm_pre, nn.Identity)


def _missing(model: Any) -> Iterator[str]:
    """Name the parts of a timm model that the engine has not."""
    kinds = {
        Eva: "rotary positions",
        VisionTransformerDistilled: "a distillation token",
        VisionTransformerRelPos: "relative positions",
    }
    if type(model) is not VisionTransformer:
        yield kinds.get(type(model), f"an architecture of its own ({type(model).__name__})")
        return
    if type(model.patch_embed) is PatchEmbed:
        yield from _missing_in_stem(model.patch_embed)
    else:
        yield f"a hybrid stem ({type(model.patch_embed).__name__})"
    if not isinstance(model.norm_pre, nn.Identity | nn.LayerNorm):
        yield f"{type(model.norm_pre).__name__} in front of the blocks"
    if type(model.blocks[0]) is Block:
        yield from _missing_in_block(model.blocks[0])
    else:
        yield f"blocks of another kind ({type(model.blocks[0]).__name__})"
    yield from _missing_in_head(model)


def _missing_in_stem(stem: Any) -> Iterator[str]:
    height, width = stem.proj.kernel_size
    if height != width:
        yield f"patches of {height} x {width} pixels"
    if stem.proj.stride != stem.proj.kernel_size:
        yield "overlapping patches"
    if not isinstance(stem.norm, nn.Identity):
        yield "a norm in the patch embedding"


def _missing_in_block(block: Any) -> Iterator[str]:
    if type(block.attn) is not Attention:
        yield f"attention of another kind ({type(block.attn).__name__})"
    elif not isinstance(block.attn.q_norm, nn.Identity):
        yield "a norm of queries and keys"
    elif not isinstance(block.attn.norm, nn.Identity):
        yield "a norm within the attention"
    elif getattr(block.attn, "gate", None) is not None:
        yield "a gate behind the attention"
    if type(block.mlp) is not Mlp:
        yield f"a gated MLP ({type(block.mlp).__name__})"
    elif not isinstance(block.mlp.norm, nn.Identity):
        yield "a norm within the MLP"
    if not isinstance(block.norm1, nn.LayerNorm):
        yield f"{type(block.norm1).__name__} in place of LayerNorm"


def _missing_in_head(model: Any) -> Iterator[str]:
    if model.global_pool == "map":
        yield from _missing_in_pooling(model)
    elif model.global_pool not in ("token", "avg"):
        yield f"pooling '{model.global_pool}'"
    elif model.global_pool == "avg" and model.pool_include_prefix and model.has_class_token:
        yield "a mean over the class token, too"
    if not isinstance(model.fc_norm, nn.Identity):
        yield "a norm behind the pooling (fc_norm)"
    elif not isinstance(model.norm, nn.LayerNorm):
        yield "no final LayerNorm"


def _missing_in_pooling(model: Any) -> Iterator[str]:
    pool, prefix = model.attn_pool, model.num_prefix_tokens
    if prefix and not model.pool_include_prefix:
        yield "attention pooling of the patches alone, beside other tokens"
    if pool.pos_embed is not None:
        yield "positions of attention pooling"
    if pool.latent_len != 1:
        yield f"attention pooling with {pool.latent_len} queries"
    if not isinstance(pool.q_norm, nn.Identity):
        yield "a norm of queries and keys in attention pooling"
    if type(pool.mlp) is not Mlp or not isinstance(pool.norm, nn.LayerNorm):
        yield "attention pooling without a LayerNorm and an MLP"
