"""Sizes of timm's plain vision transformers, by name.

The models are built on torch's ``meta`` device: without weights, memory or download. Their sizes
are read from their modules. Parts that do not count towards cycles (biases, layer scales, the kind
of the activation) do not matter; a part that the engine cannot run is refused by name.
"""

from functools import cache

from nas.importer.names import full_name
from nas.importer.options import NetworkOptions
from nas.importer.sizes import check_classes, check_tokens
from nas.importer.timm_parts import build, has_front, refuse
from rtl.model.shape import BlockShape, NetworkShape

CLASSES = 1000  # of a model that comes without a classifier: ImageNet's


@cache
def timm_sizes(name: str, options: NetworkOptions) -> NetworkShape:
    """Return the sizes of a timm model, not yet in row tiles.

    Raises
    ------
    UserError
        If timm has none of that name, the engine has no counterpart to a part of it, or it has too
        many tokens or classes.
    """
    model = build(full_name(name), options.classes, options.image_size, device="meta")
    refuse(name, model)
    block, conv = model.blocks[0], model.patch_embed.proj
    heads, hidden = block.attn.num_heads, block.mlp.fc1.out_features
    pooling = model.global_pool == "map"
    blocks = (BlockShape(heads, hidden, bits8=()),) * len(model.blocks)
    if pooling:
        pool = model.attn_pool
        blocks += (BlockShape(pool.num_heads, pool.mlp.fc1.out_features, bits8=()),)
    dense = options.classes == 0 or pooling
    sizes = NetworkShape(
        image=(*model.patch_embed.img_size, conv.in_channels),
        patch=conv.kernel_size[0],
        width=model.embed_dim,
        head_dim=block.attn.head_dim,
        classes=0 if dense else model.num_classes or CLASSES,
        row_granularity=1,
        blocks=blocks,
        embed_bits8=(),
        head_bits8=(),
        mean_pool=model.global_pool == "avg" and not dense,
        class_token=model.has_class_token,
        registers=model.num_reg_tokens,
        dense=dense,
        front_bits8=() if has_front(model) else None,
        attention_pool=pooling,
    )
    check_tokens(name, sizes)
    check_classes(name, sizes)
    return sizes
