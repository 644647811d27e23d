"""Quantized mode against golden: tensor by tensor, each operation fed with golden's inputs.

Run freely the two drift apart, because one code that differs reaches everything behind it. Here
each named tensor is compared and then *replaced* by golden's, so every operation is judged alone.
"""

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from nas.data import Images
from nas.space import Arch
from nas.supernet.portions import kept_images
from nas.supernet.supernet import Supernet
from rtl.model import IntegerModel
from sim import golden


@torch.no_grad()
def compare(net: Supernet, arch: Arch, model: IntegerModel, images: Images) -> dict[str, float]:
    """Compare a subnet in quantized mode with its integer model, run by golden.

    Returns
    -------
    dict of str to float
        Per tensor of docs/numerics.md, section 8, the fraction of equal codes, each operation fed
        golden's inputs.
    """
    equal: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for part in images.batches(kept_images(model.shape, len(images))):
        for name, same in _equal(net, arch, model, part.pixels).items():
            equal[name] += int(same.sum())
            codes[name] += same.numel()
    return {name: float(np.float32(equal[name] / codes[name])) for name in equal}


def _equal(net: Supernet, arch: Arch, model: IntegerModel, pixels: Tensor) -> dict[str, Tensor]:
    """Mark the equal codes of each tensor: (batch, ...) bool."""
    expected: dict[str, np.ndarray] = {}
    golden.run(model, pixels.numpy(), tensors=expected)
    zeros = {f"blocks.{i}.hidden": block.hidden_zero for i, block in enumerate(model.blocks)}
    equal: dict[str, Tensor] = {}

    def tap(name: str, values: Tensor) -> Tensor:
        if name not in expected:
            return values  # inside one of golden's operations
        theirs = torch.from_numpy(expected[name]).float() - zeros.get(name, 0)
        if name == "pixels":
            zero = torch.tensor(net.config.pixel_mean).repeat(net.config.space.patch**2)
            theirs = theirs - zero
        theirs = theirs.reshape(values.shape)
        equal[name] = theirs == values
        return theirs

    net.quantized(pixels, arch, tap)
    missing = expected.keys() - equal.keys()
    if missing:
        raise ValueError(f"quantized mode does not name the tensors {sorted(missing)}")
    return equal
