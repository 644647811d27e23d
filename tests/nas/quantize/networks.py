"""A small float network with random weights, and images."""

import torch

from nas.importer.network import Affine, FloatBlock, FloatFront, FloatNetwork, LayerNorm
from rtl.model import Preprocessing
from rtl.model.shape import LAYERS


def random_network(
    *,
    width: int = 24,
    heads: int = 2,
    head_dim: int = 12,
    hidden: int = 48,
    depth: int = 2,
    classes: int = 5,
    pool: str = "token",
    registers: int = 0,
    front: bool = False,
    seed: int = 0,
) -> FloatNetwork:
    """Draw a network of 8 x 12 pixels, patches of 4; ``classes`` 0 leaves out the head."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64) * scale

    def affine(rows: int, depth: int) -> Affine:
        return Affine(draw(rows, depth, scale=depth**-0.5), draw(rows, scale=0.3))

    def norm() -> LayerNorm:
        return LayerNorm(1 + draw(width, scale=0.3), draw(width, scale=0.3), 1e-6)

    def block(pools: bool = False) -> FloatBlock:
        inner = heads * head_dim
        return FloatBlock(
            heads=heads,
            norm1=norm(),
            q=Affine(draw(inner, 0), draw(inner)) if pools else affine(inner, width),
            k=affine(inner, width),
            v=affine(inner, width),
            proj=affine(width, inner),
            scale1=draw(width),
            norm2=norm(),
            fc1=affine(hidden, width),
            fc2=affine(width, hidden),
            scale2=draw(width),
        )

    tokens = 6 + registers + 1
    return FloatNetwork(
        image=(8, 12, 3),
        patch=4,
        head_dim=head_dim,
        mean=torch.tensor([0.4, 0.5, 0.6]).double(),
        std=torch.tensor([0.2, 0.25, 0.3]).double(),
        embed=affine(width, 48),
        position=draw(tokens, width),
        blocks=tuple(block(pool == "attention" and index == depth - 1) for index in range(depth)),
        norm=None if pool == "attention" else norm(),
        head=affine(classes, width) if classes else None,
        pool=pool,
        class_token=True,
        registers=registers,
        preprocessing=Preprocessing(crop=(8, 12), mode="RGB"),
        class_names=tuple(map(str, range(classes))),
        front=FloatFront(norm()) if front else None,
    )


def random_images(count: int, seed: int = 0) -> torch.Tensor:
    """Draw images with some structure: (count, 8, 12, 3) uint8."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 3, 4, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, (8, 12), mode="bilinear")
    noise = 0.1 * torch.rand(count, 3, 8, 12, generator=rng)
    return ((smooth + noise).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous()


def all_bits(network: FloatNetwork, bits: int) -> dict[str, torch.Tensor]:
    """Give all rows of the blocks the same number of bits, and both ends 8."""
    found = {"embed": torch.full((network.width,), 8)}
    if network.front is not None:
        found["front"] = torch.full((network.width,), 8)
    if network.head is not None:
        found["head"] = torch.full((len(network.head.bias),), 8)
    for index, block in enumerate(network.blocks):
        for layer in LAYERS:
            rows = len(getattr(block, layer).bias)
            found[f"blocks.{index}.{layer}"] = torch.full((rows,), bits)
    return found
