"""Initial scales of the quantized mode, from real values of the float mode."""

import torch
from torch import Tensor

from nas.numerics.codes import INT8, INT16
from nas.space import Arch
from nas.supernet.layers import ElasticLinear
from nas.supernet.portions import forward_images
from nas.supernet.supernet import Supernet
from rtl.model import numerics

RESIDUAL_HEADROOM = 4.0  # room for what later training and other subnets add
SAMPLES = 1 << 16  # values of a tensor that decide its scale

RESIDUAL = ("embed", "attended", "output")
SCALED = ("norm1", "q", "k", "v", "context", "norm2", "fc1", "hidden")
INT8_TENSORS = ("k", "v", "fc1")


@torch.no_grad()
def calibrate(net: Supernet, images: Tensor, arch: Arch | None = None) -> None:
    """Set scales and steps of ``net``, trained in float mode, to those of least error.

    images: (batch, height, width, channels) training images. ``arch``: the subnet whose values
    decide, and whose blocks get scales; by default the largest.
    """
    arch = arch or net.config.space.largest()
    samples, largest = _values(net, images, arch)
    net.residual_scale = largest * RESIDUAL_HEADROOM / INT16[1]
    for module in net.modules():
        if isinstance(module, ElasticLinear):
            module.calibrate()
    signed = numerics.code_range(net.config.act_bits, signed=True)
    net.norm_scale.calibrate(samples["norm"].values, signed)
    if net.config.space.mean_pool:
        net.pool_scale.calibrate(samples["pool"].values, signed)
    for i in range(arch.depth):
        for name in SCALED:
            scale = getattr(net.block(i), f"{name}_scale")
            limits = INT8 if name in INT8_TENSORS else signed
            if name == "hidden" and not net.config.signed_hidden:
                low, high = numerics.code_range(net.config.act_bits, signed=False)
                # GELU's minimum of -0.17 takes a few codes below zero.
                limits = (low - 4, high - 4)
            scale.calibrate(samples[f"blocks.{i}.{name}"].values, limits)


def _values(net: Supernet, images: Tensor, arch: Arch) -> tuple[dict[str, "TensorSample"], float]:
    """Sample the tensors of a subnet; find the largest magnitude of its residual stream."""
    samples: dict[str, TensorSample] = {}
    largest = 0.0

    def tap(name: str, tensor: Tensor) -> Tensor:
        nonlocal largest
        if name.endswith(RESIDUAL):
            largest = max(largest, float(tensor.abs().max()))
        elif name.endswith(("norm", "pool", *SCALED)):
            if name not in samples:
                samples[name] = TensorSample(tensor[0].numel() * len(images))
            samples[name].take(tensor)
        return tensor

    for part in images.split(forward_images(net.shape(arch), len(images))):
        net(part, arch, tap)
    return samples, largest


class TensorSample:
    """All values of a tensor, or ``SAMPLES`` that are drawn at random, the same every time.

    Every n-th value would be that of a few channels alone wherever n and their number share a
    factor.

    Parameters
    ----------
    count : int
        Values of the tensor, which comes in parts.

    Attributes
    ----------
    values : (count,) Tensor
    """

    def __init__(self, count: int) -> None:
        self._drawn = torch.arange(count)
        if count > SAMPLES:
            generator = torch.Generator().manual_seed(0)
            self._drawn = torch.randint(count, (SAMPLES,), generator=generator)
        self._seen = 0
        self.values = torch.empty(0)

    def take(self, part: Tensor) -> None:
        """Take the drawn values out of the next part of the tensor."""
        flat = part.flatten()
        if not self._seen:
            self.values = flat.new_empty(len(self._drawn))
        here = (self._drawn >= self._seen) & (self._drawn < self._seen + len(flat))
        places = (self._drawn[here] - self._seen).to(flat.device)
        self.values[here.to(flat.device)] = flat[places]
        self._seen += len(flat)
