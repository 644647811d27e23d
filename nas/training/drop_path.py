"""Drop path: branches of the residual stream that are left out at random, image by image."""

import numpy as np
import torch
from torch import Tensor

from nas.numerics.device import moved_to
from nas.supernet.residual import residual_codes
from nas.supernet.selection import gathered
from nas.training.share import Share

RESIDUAL = ("embed", "attended", "output")  # ends of the names of the residual stream's tensors


class DropPath:
    """Tap on a subnet (:data:`nas.supernet.supernet.Tap`) that drops branches in one pass.

    The rate rises from 0 in the first block to ``rate`` in the last. A branch that stays is divided
    by its probability to do so; codes are rounded, and their gradient is that of the quotient.

    Parameters
    ----------
    rate : float
    depth : int
        Blocks of the subnet.
    generator : torch.Generator
        The CPU's.
    share : Share
        Images of the pass, out of a batch for all of which is drawn.
    device : torch.device
        The subnet's.
    codes : bool
        Whether the subnet runs in quantized mode.
    """

    def __init__(
        self,
        rate: float,
        depth: int,
        generator: torch.Generator,
        share: Share,
        device: torch.device,
        *,
        codes: bool,
    ) -> None:
        keep = 1 - torch.from_numpy(np.linspace(0, rate, depth, dtype=np.float32)).view(-1, 1, 1)
        drawn = torch.rand(depth, 2, share.whole, generator=generator)[..., share.positions]
        self._factors = moved_to((drawn < keep) / keep, device)  # (depth, 2, images)
        self._codes = codes
        self._residual: Tensor | None = None

    def __call__(self, name: str, tensor: Tensor) -> Tensor:
        """Replace a tensor of the residual stream, (images, tokens, width).

        Where tokens are selected, the stream before is theirs.
        """
        block, _, end = name.rpartition(".")
        if end == "kept" and self._residual is not None:
            self._residual = gathered(self._residual, tensor)
        if end not in RESIDUAL:
            return tensor
        if self._residual is not None:
            index = int(block.rpartition(".")[2])
            factor = self._factors[index, RESIDUAL.index(end) - 1].view(-1, 1, 1)
            before = self._residual[:, -tensor.shape[1] :]  # behind the last block fewer tokens
            tensor = before + (tensor - before) * factor.to(tensor.dtype)
            if self._codes:
                tensor = residual_codes(tensor)
        self._residual = tensor
        return tensor
