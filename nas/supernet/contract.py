"""Quantized mode against golden: tensor by tensor, each operation fed with golden's inputs.

Run freely the two drift apart, because one code that differs reaches everything behind it. Here
each named tensor is compared and then *replaced* by golden's, so every operation is judged alone.
"""

import numpy as np
import torch
from torch import Tensor

from nas.data import Images
from nas.space import Arch
from nas.supernet.supernet import Supernet
from rtl.model import IntegerModel
from sim import golden


@torch.no_grad()
def compare(net: Supernet, arch: Arch, model: IntegerModel, images: Images) -> dict[str, float]:
    """Compare a subnet in quantized mode with its integer model, run by golden.

    Needs memory for every tensor of all images: a few hundred at a time.

    Returns
    -------
    dict of str to float
        Per tensor of docs/numerics.md, section 8, the fraction of equal codes, each operation fed
        golden's inputs.
    """
    expected: dict[str, np.ndarray] = {}
    golden.run(model, images.pixels.numpy(), tensors=expected)
    zeros = {f"blocks.{i}.hidden": block.hidden_zero for i, block in enumerate(model.blocks)}
    equal: dict[str, float] = {}

    def tap(name: str, values: Tensor) -> Tensor:
        if name not in expected:
            return values  # inside one of golden's operations
        theirs = torch.from_numpy(expected[name]).float() - zeros.get(name, 0)
        if name == "pixels":
            zero = torch.tensor(net.config.pixel_mean).repeat(net.config.space.patch**2)
            theirs = theirs - zero
        theirs = theirs.reshape(values.shape)
        equal[name] = float((theirs == values).float().mean())
        return theirs

    net.quantized(images.pixels, arch, tap)
    missing = expected.keys() - equal.keys()
    if missing:
        raise ValueError(f"quantized mode does not name the tensors {sorted(missing)}")
    return equal
