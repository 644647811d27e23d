"""From a trained supernet to the integer model of one subnet.

Every constant comes from the function that training used (``linear``, ``norm``, ``attention``,
``gelu``, ``pool``), so quantized mode and integer model agree by construction; what happens here is
only to move the zero points into the biases and to change types. LayerNorm has no affine parameters
to fold, and layer scaling is inside the multipliers already.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nas.numerics.dyadic import dyadic
from nas.producer import producer
from nas.space import Arch
from nas.supernet.attention import (
    CONTEXT_BITS,
    CONTEXT_SHIFTS,
    context_factor,
    softmax_factor,
)
from nas.supernet.gelu import gelu_table
from nas.supernet.layers import ElasticLinear
from nas.supernet.norm import norm_codes
from nas.supernet.pool import pool_factor
from nas.supernet.supernet import Supernet
from rtl.model import (
    Block,
    Classifier,
    HeadScales,
    IntegerModel,
    Linear,
    Norm,
    Pool,
    Preprocessing,
    numerics,
)


def export(
    net: Supernet,
    arch: Arch,
    *,
    class_names: tuple[str, ...],
    preprocessing: Preprocessing,
    info: Mapping[str, Any] | None = None,
) -> IntegerModel:
    """Make the integer model of a subnet.

    Parameters
    ----------
    net : Supernet
        Trained.
    arch : Arch
    class_names : tuple of str
    preprocessing : Preprocessing
        Steps that the training images went through.
    info : mapping, optional
        More for the model's ``info``: JSON values.

    Raises
    ------
    UserError
        If the result breaks a bound of docs/numerics.md, such as an accumulator's.
    """
    about = {"arch": arch.to_json(), **(info or {})}
    return _Exporter(net, arch).model(class_names, preprocessing, about)


class _Exporter:
    def __init__(self, net: Supernet, arch: Arch) -> None:
        self.net, self.arch, self.space = net, arch, net.config.space
        self.bits8, self.keeps = net.bits8_rows(arch), self.space.kept(arch)

    def model(
        self, class_names: tuple[str, ...], preprocessing: Preprocessing, info: dict[str, Any]
    ) -> IntegerModel:
        net, space, width = self.net, self.space, self.arch.width
        log_logit = net.log_logit(width, self.bits8["head"])
        # The zero point of a pixel is its channel's mean; channels vary fastest along the depth.
        zero = torch.tensor(net.config.pixel_mean).repeat(space.patch**2)
        return IntegerModel(
            act_bits=net.config.act_bits,
            row_granularity=space.row_granularity,
            image=space.image,
            patch=space.patch,
            width=width,
            head_dim=space.head_dim,
            embed=self.linear(
                "embed", len(zero), net.log_pixel, net.log_residual.expand(width), zero
            ),
            position=_array(net.position_codes(width), np.int16),
            class_token=not space.mean_pool,
            blocks=tuple(self.block(i) for i in range(self.arch.depth)),
            output=Classifier(
                classes=space.classes,
                norm=self.norm(net.norm_scale.log),
                head=self.linear("head", width, net.log_head, log_logit),
                output_scale=float(log_logit.exp()),
                pool=self.pool() if space.mean_pool else None,
            ),
            class_names=class_names,
            preprocessing=preprocessing,
            producer=producer(),
            info=info,
        )

    def block(self, index: int) -> Block:
        block = self.net.block(index)
        name, width, hidden = f"blocks.{index}.", self.arch.width, self.arch.hidden(index)
        heads = self.arch.blocks[index].heads
        s1, s2, log_context = block.norm1_scale.log, block.norm2_scale.log, block.context_scale.log
        log_q, log_k, log_v = block.q_scale.log, block.k_scale.log, block.v_scale.log
        log_fc1, log_hidden = block.fc1_scale.log, block.hidden_scale.log
        attended, output = (
            self.net.log_residual - gain for gain in self.net.gains(index, self.arch)
        )
        table, _, _ = gelu_table(log_fc1, log_hidden, block.hidden_limits)
        zero = int(block.hidden_zero)
        return Block(
            heads=heads,
            hidden=hidden,
            norm1=self.norm(s1),
            q=self.linear(name + "q", width, s1, log_q),
            k=self.linear(name + "k", width, s1, log_k),
            v=self.linear(name + "v", width, s1, log_v),
            softmax=_head_scales(
                softmax_factor(log_q, log_k, block.head_dim), heads, shifts=(0, 47)
            ),
            context=_head_scales(
                context_factor(log_v, log_context), heads, bits=CONTEXT_BITS, shifts=CONTEXT_SHIFTS
            ),
            proj=self.linear(name + "proj", heads * block.head_dim, log_context, attended),
            norm2=self.norm(s2),
            fc1=self.linear(name + "fc1", width, s2, log_fc1),
            gelu=_array(table + zero, np.int16),
            hidden_signed=block.signed_hidden,
            hidden_zero=zero,
            fc2=self.linear(name + "fc2", hidden, log_hidden, output, torch.full((hidden,), zero)),
            keep=self.keeps[index],
        )

    def linear(
        self, name: str, depth: int, log_in: Tensor, log_out: Tensor, zero: Tensor | None = None
    ) -> Linear:
        """Layer ``name``; ``zero`` (depth,) are the zero points of its input."""
        layer = cast(ElasticLinear, self.net.get_submodule(name))
        bits8 = self.bits8[name]
        codes = layer.codes(depth, bits8, log_in, log_out)
        weight, bias = _array(codes.weight, np.int64), _array(codes.bias, np.int64)
        multiplier, shift = dyadic(codes.factor)
        if zero is not None:
            bias = bias - weight @ zero.numpy()
        # Out of range of the file's type means out of the accumulator's bound: the constructor of
        # IntegerModel says so with the row's number, if the value gets that far.
        limit = np.iinfo(np.int32).max
        return Linear(
            weight=weight.astype(np.int8),
            bits=np.where(bits8.cpu().numpy(), 8, 4).astype(np.uint8),
            bias=bias.clip(-limit, limit).astype(np.int32),
            multiplier=_array(multiplier, np.uint32),
            shift=_array(shift, np.uint8),
        )

    def pool(self) -> Pool:
        """Mean of the patches, with one scale for all channels."""
        patches = self.net.shape(self.arch).patches
        factor = pool_factor(patches, self.net.norm_scale.log, self.net.pool_scale.log)
        multiplier, shift = dyadic(factor.expand(self.arch.width))
        return Pool(
            bias=np.zeros(self.arch.width, np.int32),
            multiplier=_array(multiplier, np.uint32),
            shift=_array(shift, np.uint8),
        )

    def norm(self, log_out: Tensor) -> Norm:
        width = self.arch.width
        codes = norm_codes(width, self.net.epsilon, log_out)
        return Norm(
            epsilon=codes.epsilon,
            gain=codes.gain,
            shift=codes.shift,
            zero=0,
            signed=True,
            # Exponents widen weight rows; no layer's output error has yet become lower by them.
            exponent=np.zeros(width, np.uint8),
        )


def _head_scales(
    factor: Tensor, heads: int, *, bits: int = numerics.MULTIPLIER_BITS, shifts: tuple[int, int]
) -> HeadScales:
    multiplier, shift = (int(part) for part in dyadic(factor, bits, shifts))
    return HeadScales((multiplier,) * heads, (shift,) * heads)


def _array(tensor: Tensor, dtype: type) -> np.ndarray:
    return tensor.detach().cpu().double().numpy().astype(dtype)
