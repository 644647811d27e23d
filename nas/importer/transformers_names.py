"""Families of the transformers library: names of their tensors, and what the engine has not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

ACTIVATIONS = {
    "gelu": "erf",
    "gelu_python": "erf",
    "gelu_new": "tanh",
    "gelu_fast": "tanh",
    "gelu_pytorch_tanh": "tanh",
    "quick_gelu": "quick",
}
NO_LABEL = "LABEL_"  # what the library calls classes without a name


@dataclass(frozen=True)
class TowerNames:
    """Names of a family's tensors, and what its configuration leaves out where it is usual.

    ``block`` maps the canonical parts of a block to their names in it.
    """

    class_token: str
    embed: str
    position: str
    blocks: str
    norm: str
    block: Mapping[str, str]
    usual: Mapping[str, Any]
    front: str | None = None
    ignored: tuple[str, ...] = ()


VIT = TowerNames(
    class_token="embeddings.cls_token",
    embed="embeddings.patch_embeddings.projection",
    position="embeddings.position_embeddings",
    blocks="encoder.layer",
    norm="layernorm",
    block={
        "norm1": "layernorm_before",
        "q": "attention.attention.query",
        "k": "attention.attention.key",
        "v": "attention.attention.value",
        "proj": "attention.output.dense",
        "norm2": "layernorm_after",
        "fc1": "intermediate.dense",
        "fc2": "output.dense",
    },
    usual={"hidden_act": "gelu", "layer_norm_eps": 1e-12, "patch_size": 16},
    ignored=("pooler.", "embeddings.mask_token"),
)
DINOV2 = replace(
    VIT,
    block={
        **VIT.block,
        "norm1": "norm1",
        "norm2": "norm2",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
        "scale1": "layer_scale1.lambda1",
        "scale2": "layer_scale2.lambda1",
    },
    usual={"hidden_act": "gelu", "layer_norm_eps": 1e-6, "patch_size": 14},
)
CLIP = TowerNames(
    class_token="embeddings.class_embedding",
    embed="embeddings.patch_embedding",
    position="embeddings.position_embedding.weight",
    blocks="encoder.layers",
    norm="post_layernorm",
    block={
        "norm1": "layer_norm1",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "proj": "self_attn.out_proj",
        "norm2": "layer_norm2",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
    },
    usual={"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "patch_size": 32},
    front="pre_layrnorm",  # as the library spells it
    ignored=("embeddings.position_ids",),
)
FAMILIES = {
    "vit": VIT,
    "vit_mae": VIT,
    "vit_msn": replace(VIT, usual={**VIT.usual, "layer_norm_eps": 1e-6}),
    "deit": VIT,
    "dinov2": DINOV2,
    "dinov2_with_registers": DINOV2,
    "clip": CLIP,
    "clip_vision_model": CLIP,
}
"""By ``model_type``."""

REASONS = {
    "beit": "relative position bias",
    "convnext": "no attention",
    "convnextv2": "no attention",
    "data2vec-vision": "relative position bias",
    "dinov3_vit": "rotary positions",
    "efficientformer": "convolutions beside the patch embedding",
    "focalnet": "no attention",
    "hiera": "windowed attention, tokens that become fewer from block to block",
    "swin": "windowed attention",
    "swinv2": "windowed attention, norms behind the branches",
    "mobilevit": "convolutions beside the patch embedding",
    "mobilevitv2": "convolutions beside the patch embedding",
    "levit": "convolutions beside the patch embedding",
    "cvt": "convolutions beside the patch embedding",
    "poolformer": "no attention",
    "pvt": "tokens that become fewer from block to block",
    "pvt_v2": "tokens that become fewer from block to block",
    "resnet": "no attention",
    "segformer": "tokens that become fewer from block to block",
    "vit_hybrid": "a hybrid stem",
    "vitdet": "windowed attention, relative position bias",
}
"""Reasons of refusal by ``model_type``, as docs/quasar-vit.md has them."""

NOT_READ = ("siglip", "siglip_vision_model")
"""Types that the engine runs, but whose folders are not read: timm's names or ONNX files are."""
