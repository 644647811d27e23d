"""Shapes of timm's plain vision transformers, by name.

The models are built on torch's ``meta`` device: without weights, memory or download. Their sizes
are read from their modules. Parts that do not count towards cycles (biases, layer scales, the kind
of the activation) do not matter; a part that the engine cannot run is refused by name.
"""

from dataclasses import replace
from functools import cache

from nas.importer.options import NetworkOptions
from nas.importer.timm_parts import build, full_name, refuse
from rtl.model.shape import NetworkShape, plain_vit

CLASSES = 1000  # of a model that comes without a classifier: ImageNet's


@cache
def timm_shape(name: str, granularity: int, bits8: float, options: NetworkOptions) -> NetworkShape:
    """Return the shape of a timm model, as :func:`nas.cost.plain.shape_of` does.

    Raises
    ------
    UserError
        If timm has none of that name, or the engine has no counterpart to a part of it.
    """
    model = build(full_name(name), options.classes, options.image_size, device="meta")
    refuse(name, model)
    block, conv = model.blocks[0], model.patch_embed.proj
    shape = plain_vit(
        image=(*model.patch_embed.img_size, conv.in_channels),
        patch=conv.kernel_size[0],
        width=model.embed_dim,
        heads=block.attn.num_heads,
        head_dim=block.attn.head_dim,
        hidden=block.mlp.fc1.out_features,
        depth=len(model.blocks),
        classes=model.num_classes or CLASSES,
        row_granularity=granularity,
        bits8=bits8,
        mean_pool=model.global_pool == "avg",
        class_token=model.has_class_token,
    )
    shape = replace(shape, registers=model.num_reg_tokens)
    if options.classes == 0:
        return replace(shape, classes=0, head_bits8=(), mean_pool=False, dense=True)
    return shape
