"""Initial scales of the quantized mode, from real values of the float mode."""

import torch
from torch import Tensor

from nas.numerics.codes import INT8, INT16
from nas.space import Arch
from nas.supernet.layers import ElasticLinear
from nas.supernet.supernet import Supernet
from rtl.model import numerics

RESIDUAL_HEADROOM = 4.0  # room for what later training and other subnets add
SAMPLES = 1 << 16  # values of a tensor that decide its scale

SCALED = ("norm1", "q", "k", "v", "context", "norm2", "fc1", "hidden")
INT8_TENSORS = ("k", "v", "fc1")


@torch.no_grad()
def calibrate(net: Supernet, images: Tensor, arch: Arch | None = None) -> None:
    """Set scales and steps of ``net``, trained in float mode, to those of least error.

    images: (batch, height, width, channels) training images. ``arch``: the subnet whose values
    decide, and whose blocks get scales; by default the largest.
    """
    arch = arch or net.config.space.largest()
    values: dict[str, Tensor] = {}

    def tap(name: str, tensor: Tensor) -> Tensor:
        values[name] = tensor
        return tensor

    net(images, arch, tap)
    residual = [v for n, v in values.items() if n.endswith(("embed", "attended", "output"))]
    largest = max(float(tensor.abs().max()) for tensor in residual)
    net.residual_scale = largest * RESIDUAL_HEADROOM / INT16[1]
    for module in net.modules():
        if isinstance(module, ElasticLinear):
            module.calibrate()
    signed = numerics.code_range(net.config.act_bits, signed=True)
    net.norm_scale.calibrate(sample(values["norm"]), signed)
    for i in range(arch.depth):
        for name in SCALED:
            scale = getattr(net.block(i), f"{name}_scale")
            limits = INT8 if name in INT8_TENSORS else signed
            if name == "hidden" and not net.config.signed_hidden:
                low, high = numerics.code_range(net.config.act_bits, signed=False)
                # GELU's minimum of -0.17 takes a few codes below zero.
                limits = (low - 4, high - 4)
            scale.calibrate(sample(values[f"blocks.{i}.{name}"]), limits)


def sample(tensor: Tensor) -> Tensor:
    """Return all values, or ``SAMPLES`` that are drawn at random, the same in every call: (count,).

    Every n-th value would be that of a few channels alone wherever n and their number share a
    factor.
    """
    flat = tensor.flatten()
    if flat.numel() <= SAMPLES:
        return flat
    drawn = torch.randint(flat.numel(), (SAMPLES,), generator=torch.Generator().manual_seed(0))
    return flat[drawn.to(flat.device)]
