"""The supernet: a vision transformer whose subnets share weights, step sizes and scales.

Two ways to run a subnet: float (real values) and quantized (codes, with the operations of
this package). Both name their tensors as docs/numerics.md, section 8, and hand each to an
optional *tap*, which may look at it (calibration) or replace it (comparison with golden).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Any, cast

import torch
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional

from nas.numerics.codes import INT8, INT16
from nas.numerics.device import moved_to
from nas.numerics.reshape import join_heads, patches_of, split_heads
from nas.space import Arch, Space
from nas.supernet.attention import attention_weights, context, scores
from nas.supernet.gelu import gelu
from nas.supernet.layers import ElasticBlock, ElasticLinear, Scale, row_mask
from nas.supernet.norm import SCALES, norm
from nas.supernet.pool import mean
from nas.supernet.residual import residual_codes, saturating_add
from nas.supernet.selection import gathered, importance, kept_tokens, real_importance
from rtl.model import numerics
from rtl.model.shape import NetworkShape

Tap = Callable[[str, Tensor], Tensor]
"""Called with a tensor's name and its values: real ones in float mode, centred codes in quantized
mode. What it returns goes on in the tensor's place."""


@dataclass(frozen=True)
class SupernetConfig:
    """Description of a supernet, without its weights.

    Parameters
    ----------
    space : Space
        The subnets that it contains.
    pixel_mean : tuple of int
        Per channel the pixel code that counts as zero.
    pixel_std : float
        Standard deviation of a pixel, in codes.
    act_bits : int
        Bits of hidden activations: 4, 6 or 8.
    signed_hidden : bool
        Whether the code after GELU is signed instead of having a zero point.
    switched_gains : bool
        Whether each pair of width and depth has a layer scaling of its own; until subnets are
        elastic, all have that of the largest.
    epsilon : float
        Of LayerNorm, in squared real units.
    """

    space: Space
    pixel_mean: tuple[int, ...]
    pixel_std: float
    act_bits: int = 6
    signed_hidden: bool = False
    switched_gains: bool = False
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.act_bits not in numerics.ACT_BITS:
            raise ValueError(f"act_bits must be one of {numerics.ACT_BITS}, not {self.act_bits}")
        if len(self.pixel_mean) != self.space.image[2]:
            raise ValueError(
                f"pixel_mean must have {self.space.image[2]} channels, not {len(self.pixel_mean)}"
            )


class Supernet(nn.Module):
    """Vision transformer with elastic width, depth, heads, MLP ratio and row precision.

    Parameters
    ----------
    config : SupernetConfig

    Attributes
    ----------
    order : dict of str to list of int
        Per matrix the row tiles, most sensitive first (:data:`nas.space.TileOrder`). Frozen after
        the float stage.
    residual_scale : float
        Real value of one code of the residual stream. Frozen after the float stage.
    """

    def __init__(self, config: SupernetConfig) -> None:
        super().__init__()
        space = config.space
        self.config = config
        self.order: dict[str, Sequence[int]] = {}
        self.residual_scale = 2.0**-10
        width, shape = space.widths[-1], space.shape(space.largest())
        mean = torch.tensor(config.pixel_mean, dtype=torch.float32)
        self.pixel_mean: Tensor
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.embed = ElasticLinear(width, shape.patch_values, init_std=shape.patch_values**-0.5)
        # The class token is the last token; its own embedding and its position are one row. A head
        # on the mean of the patches has none.
        self.position = nn.Parameter(trunc_normal_(torch.empty(shape.tokens, width), std=0.02))
        self.blocks = nn.ModuleList(
            ElasticBlock(
                width,
                space.heads[-1],
                space.head_dim,
                round(space.mlp_ratios[-1] * width),
                act_bits=config.act_bits,
                signed_hidden=config.signed_hidden,
                switches=(len(space.widths), len(space.depths)) if config.switched_gains else (),
            )
            for _ in range(space.depths[-1])
        )
        self.norm_scale = Scale(limits=SCALES)
        if space.mean_pool:
            self.pool_scale = Scale()
        self.head = ElasticLinear(space.classes, width, largest=1 << (config.act_bits - 1))

    # --- shared by both modes ---------------------------------------------------------------

    def block(self, index: int) -> ElasticBlock:
        """Return one block, typed."""
        return cast(ElasticBlock, self.blocks[index])

    def shape(self, arch: Arch) -> NetworkShape:
        """Return the sizes of a subnet with its 8-bit row tiles."""
        return self.config.space.shape(arch, self.order)

    def pixels(self, images: Tensor) -> Tensor:
        """(batch, height, width, channels) pixel codes -> (batch, patches, values) centred.

        The images may lie on another device than the network.
        """
        images = images.to(self.pixel_mean.device)
        return patches_of(images.float() - self.pixel_mean, self.config.space.patch)

    def gains(self, index: int, arch: Arch) -> tuple[Tensor, Tensor]:
        """Logarithms of a block's layer scaling behind attention and MLP: (width,) each."""
        block, space, place = self.block(index), self.config.space, ()
        if self.config.switched_gains:
            place = space.widths.index(arch.width), space.depths.index(arch.depth)
        gains = block.log_attention_gain, block.log_mlp_gain
        attention, mlp = (gain[(*place, slice(arch.width))] for gain in gains)
        return attention, mlp

    @torch.no_grad()
    def spread_gains(self) -> None:
        """Give all widths and depths the layer scaling of the largest subnet."""
        if self.config.switched_gains:
            for block in map(self.block, range(len(self.blocks))):
                for gain in (block.log_attention_gain, block.log_mlp_gain):
                    gain.copy_(gain[-1, -1].clone())

    @property
    def epsilon(self) -> float:
        """LayerNorm's epsilon in squared codes of the residual stream."""
        return self.config.epsilon / self.residual_scale**2

    def limit_scales(self) -> None:
        """Set the scales that a step of training took beyond their limits back to them."""
        for module in self.modules():
            if isinstance(module, Scale):
                module.limit()

    # --- float mode --------------------------------------------------------------------------

    def forward(self, images: Tensor, arch: Arch, tap: Tap | None = None) -> Tensor:
        """Run a subnet on real values.

        images: (batch, height, width, channels) pixel codes. Returns (batch, classes) logits.
        """
        tap = tap or _pass
        width, head_dim = arch.width, self.config.space.head_dim
        keeps = self.config.space.kept(arch)
        x = tap("pixels", self.pixels(images) / self.config.pixel_std)
        x = self.embed(x, width)  # (batch, patches, width)
        r = self.position[:, :width].expand(len(images), -1, -1)
        r = tap("embed", r + self._padded(x))  # (batch, tokens, width)
        for i, size in enumerate(arch.blocks):
            block = self.block(i)
            name, inner = f"blocks.{i}.", size.heads * head_dim
            attention_gain, mlp_gain = self.gains(i, arch)
            x = tap(name + "norm1", self._layer_norm(r))
            last = i == arch.depth - 1
            r, queries = (r[:, self.final], x[:, self.final]) if last else (r, x)
            q = tap(name + "q", block.q(queries, inner))
            k = tap(name + "k", block.k(x, inner))
            v = tap(name + "v", block.v(x, inner))
            q, k, v = (split_heads(t, head_dim) for t in (q, k, v))
            x = join_heads(functional.scaled_dot_product_attention(q, k, v))
            x = tap(name + "context", x)
            if (keep := keeps[i]) is not None:
                r, x = _selected(tap, name, real_importance(q, k), keep, r, x)
            r = r + block.proj(x, width) * attention_gain.exp()
            x = tap(name + "norm2", self._layer_norm(tap(name + "attended", r)))
            x = tap(name + "fc1", block.fc1(x, arch.hidden(i)))
            x = tap(name + "hidden", functional.gelu(x))
            r = r + block.fc2(x, width) * mlp_gain.exp()
            r = tap(name + "output", r)
        x = tap("norm", self._layer_norm(r))  # (batch, final tokens, width)
        if self.config.space.mean_pool:
            x = tap("pool", x.mean(1, keepdim=True))
        return tap("logits", self.head(x[:, 0], self.config.space.classes))

    @property
    def final(self) -> slice:
        """Tokens that are read behind the last block: the patches, or the class token alone."""
        return slice(None) if self.config.space.mean_pool else slice(-1, None)

    def _padded(self, x: Tensor) -> Tensor:
        """(batch, patches, width) -> (batch, tokens, width): the class token has no patch."""
        return functional.pad(x, (0, 0, 0, len(self.position) - x.shape[1]))

    def _layer_norm(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], eps=self.config.epsilon)

    # --- quantized mode ----------------------------------------------------------------------

    def quantized(self, images: Tensor, arch: Arch, tap: Tap | None = None) -> Tensor:
        """Run a subnet on codes, as the integer model does.

        images: (batch, height, width, channels) pixel codes. Returns (batch, classes) logits as
        real values: their code's scale depends on the subnet and is chosen at export.
        """
        tap = tap or _pass
        width, bits8 = arch.width, self.bits8_rows(arch)
        log_residual = self.log_residual
        pixels = tap("pixels", self.pixels(images))
        y = self.embed.quantized(
            pixels, bits8["embed"], log_in=self.log_pixel, log_out=log_residual
        )
        position = self.position_codes(width).expand(len(images), -1, -1)
        r = tap("embed", saturating_add(position, self._padded(y)))
        for i, keep in enumerate(self.config.space.kept(arch)):
            r = self._quantized_block(i, r, arch, bits8, keep, tap)
        signed = numerics.code_range(self.config.act_bits, signed=True)
        x = norm(r, log_out=self.norm_scale.log, epsilon=self.epsilon, limits=signed)
        x = tap("norm", x)  # (batch, final tokens, width)
        if self.config.space.mean_pool:
            x = tap("pool.values", x)
            tap("pool.weights", x.new_ones(x.shape[:2]))
            log_mean = self.pool_scale.log
            x = tap("pool", mean(x, log_in=self.norm_scale.log, log_out=log_mean, limits=signed))
        log_in, log_out = self.log_head, self.log_logit(width, bits8["head"])
        y = self.head.quantized(x[:, 0], bits8["head"], log_in=log_in, log_out=log_out)
        return tap("logits", y) * log_out.exp()

    def _quantized_block(
        self,
        index: int,
        r: Tensor,
        arch: Arch,
        bits8: Mapping[str, Tensor],
        keep: int | None,
        tap: Tap,
    ) -> Tensor:
        block, name = self.block(index), f"blocks.{index}."
        head_dim, act_bits, signed = block.head_dim, block.act_bits, block.signed_limits
        attention_gain, mlp_gain = self.gains(index, arch)
        s1, s2 = block.norm1_scale.log, block.norm2_scale.log
        log_q, log_k, log_v = block.q_scale.log, block.k_scale.log, block.v_scale.log
        x = norm(r, log_out=s1, epsilon=self.epsilon, limits=signed)
        x = tap(name + "norm1", x)
        if index == arch.depth - 1:
            r, queries = r[:, self.final], x[:, self.final]
        else:
            queries = x
        q = block.q.quantized(queries, bits8[name + "q"], log_in=s1, log_out=log_q, limits=signed)
        k = block.k.quantized(x, bits8[name + "k"], log_in=s1, log_out=log_k, limits=INT8)
        v = block.v.quantized(x, bits8[name + "v"], log_in=s1, log_out=log_v, limits=INT8)
        q, k, v = tap(name + "q", q), tap(name + "k", k), tap(name + "v", v)
        q, k, v = (split_heads(t, head_dim) for t in (q, k, v))
        s = tap(name + "scores", scores(q, k, act_bits))  # (batch, heads, queries, keys)
        e = attention_weights(s, log_q=log_q, log_k=log_k, head_dim=head_dim, act_bits=act_bits)
        e = tap(name + "attention", e)
        log_context = block.context_scale.log
        x = context(e, v, log_v=log_v, log_out=log_context, limits=signed)
        x = tap(name + "context", join_heads(x))
        if keep is not None:
            scales = {"log_q": log_q, "log_k": log_k, "head_dim": head_dim, "act_bits": act_bits}
            r, x = _selected(tap, name, importance(s, e, **scales), keep, r, x)
        log_out = self.log_residual - attention_gain
        y = block.proj.quantized(x, bits8[name + "proj"], log_in=log_context, log_out=log_out)
        r = tap(name + "attended", saturating_add(r, y))
        x = norm(r, log_out=s2, epsilon=self.epsilon, limits=signed)
        x = tap(name + "norm2", x)
        log_fc1, log_hidden = block.fc1_scale.log, block.hidden_scale.log
        x = block.fc1.quantized(x, bits8[name + "fc1"], log_in=s2, log_out=log_fc1, limits=INT8)
        x = tap(name + "fc1", x)
        x = gelu(x, log_in=log_fc1, log_out=log_hidden, limits=block.hidden_limits)
        x = tap(name + "hidden", x)
        log_out = self.log_residual - mlp_gain
        y = block.fc2.quantized(x, bits8[name + "fc2"], log_in=log_hidden, log_out=log_out)
        return tap(name + "output", saturating_add(r, y))

    @torch.no_grad()
    def log_logit(self, width: int, bits8: Tensor) -> Tensor:
        """Logarithm of the logits' scale: the least one at which no input can saturate them."""
        log_in = self.log_head
        codes = self.head.codes(width, bits8, log_in, torch.zeros_like(log_in))
        largest = 1 << (self.config.act_bits - 1)
        bound = codes.weight.abs().sum(1) * largest + codes.bias.abs()
        real = bound * torch.exp(log_in + self.head.step(bits8))
        # 1/1024 below the limit leaves room for the rounding of multiplier and result.
        return (real.amax().clamp(min=1e-6) / (INT16[1] * (1 - 2.0**-10))).log()

    @property
    def log_head(self) -> Tensor:
        """Logarithm of the scale of the head's input."""
        return (self.pool_scale if self.config.space.mean_pool else self.norm_scale).log

    @property
    def log_pixel(self) -> Tensor:
        """Logarithm of a pixel code's real value."""
        return self.position.new_full((), -log(self.config.pixel_std))

    @property
    def log_residual(self) -> Tensor:
        """Logarithm of a residual code's real value."""
        return self.position.new_full((), log(self.residual_scale))

    def position_codes(self, width: int) -> Tensor:
        """(tokens, width) residual codes of the position embedding."""
        return residual_codes(self.position[:, :width] / self.residual_scale)

    def bits8_rows(self, arch: Arch) -> dict[str, Tensor]:
        """Per matrix of a subnet a mask (rows,) of its 8-bit rows."""
        order = tuple((name, tuple(tiles)) for name, tiles in sorted(self.order.items()))
        return _bits8_rows(self.config.space, arch, order, self.position.device)

    # --- state that is not a parameter -------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:
        """Return what was frozen after the float stage; part of ``state_dict``."""
        order = {name: list(map(int, tiles)) for name, tiles in self.order.items()}
        return {"order": order, "residual_scale": self.residual_scale}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        self.order, self.residual_scale = dict(state["order"]), state["residual_scale"]


@lru_cache(maxsize=4096)
def _bits8_rows(
    space: Space,
    arch: Arch,
    order: tuple[tuple[str, tuple[int, ...]], ...],
    device: torch.device,
) -> dict[str, Tensor]:
    shape = space.shape(arch, dict(order))
    tile = shape.row_granularity
    masks = {
        "embed": row_mask(shape.embed_bits8, tile, shape.width),
        "head": row_mask(shape.head_bits8, tile, shape.classes),
    }
    for i, block in enumerate(shape.blocks):
        sizes = shape.layer_sizes(i)
        for layer, flags in block.bits8:
            masks[f"blocks.{i}.{layer}"] = row_mask(flags, tile, sizes[layer][0])
    together = moved_to(torch.cat([*masks.values()]), device)  # in one copy
    return dict(zip(masks, together.split([*map(len, masks.values())]), strict=True))


def _selected(
    tap: Tap, name: str, found: Tensor, keep: int, r: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Keep tokens of residual stream and context by their importance, (batch, tokens - 1)."""
    found = tap(name + "importance", found)
    kept = tap(name + "kept", kept_tokens(found, keep)).long()
    return gathered(r, kept), gathered(x, kept)


def _pass(name: str, values: Tensor) -> Tensor:
    return values
