"""Folders as the transformers library writes them, made of timm's models by renaming weights."""

import json
import re
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from tests.nas.importer.timm_models import SMALL, made

PROCESSOR = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 3,
    "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3],
    "do_center_crop": True,
    "size": {"height": 36, "width": 36}, "crop_size": {"height": 32, "width": 32},
}  # fmt: skip
SIZES = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96,
    "image_size": 32, "patch_size": 8, "num_channels": 3,
}  # fmt: skip

PARTS = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "reg_token": "embeddings.register_tokens",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
    "head": "classifier",
}
VIT_BLOCK = {
    "norm1": "layernorm_before",
    "attn.qkv": "attention.attention.{}",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}
SAME = ("norm1", "norm2", "mlp.fc1", "mlp.fc2")
DINOV2_BLOCK = {**VIT_BLOCK, **{key: key for key in SAME}}
CLIP_PARTS = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding.weight",
    "patch_embed.proj": "embeddings.patch_embedding",
    "norm_pre": "pre_layrnorm",
    "norm": "post_layernorm",
    "head": "classifier",
}
CLIP_BLOCK = {
    "norm1": "layer_norm1",
    "attn.qkv": "self_attn.{}_proj",
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def renamed(state: dict[str, Tensor], kind: str, prefix: str = "") -> dict[str, Tensor]:
    """Give timm's weights the names that the library has for a model type."""
    clip = kind.startswith("clip")
    parts = CLIP_PARTS if clip else PARTS
    block = CLIP_BLOCK if clip else DINOV2_BLOCK if kind.startswith("dinov2") else VIT_BLOCK
    layers, qkv = ("layers", "qkv") if clip else ("layer", ("query", "key", "value"))
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if match := re.fullmatch(r"blocks\.(\d+)\.(.*?)((?:\.weight|\.bias)?)", key):
            start = f"{prefix}encoder.{layers}.{match[1]}.{block[match[2]]}{match[3]}"
            if match[2] == "attn.qkv":
                for name, part in zip(qkv, tensor.chunk(3), strict=True):
                    found[start.format(name)] = part.clone()
            else:
                found[start] = tensor
        else:
            name = re.sub(r"\.(weight|bias)$", "", key)
            full = parts[name] + key.removeprefix(name)
            found[full if name == "head" else prefix + full] = tensor
    if clip:
        for name in ("embeddings.class_embedding", "embeddings.position_embedding.weight"):
            found[prefix + name] = found[prefix + name][0].squeeze(0).contiguous()
    return found


def saved(
    folder: Path,
    kind: str,
    prefix: str = "",
    config: dict[str, Any] | None = None,
    processor: dict[str, Any] | None = PROCESSOR,
    **arguments: Any,
) -> Any:
    """Save a small model as the library does; return timm's."""
    usual = {"clip_vision_model": {"pre_norm": True, "act_layer": "quick_gelu"}}.get(kind, {})
    model = made("vit_tiny_patch16_224", **{**SMALL, "num_classes": 0, **usual, **arguments})
    save_file(renamed(model.state_dict(), kind, prefix), folder / "model.safetensors")
    layout = {"model_type": kind, **SIZES, "layer_norm_eps": model.norm.eps, **(config or {})}
    (folder / "config.json").write_text(json.dumps(layout))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model
