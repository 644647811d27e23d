"""A process's share of a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Share:
    """Positions of a batch that one process computes.

    Parameters
    ----------
    positions : Tensor
        (share,) int64, in order. With i the mirrored position ``whole - 1 - i`` is in the share,
        too: mixup pairs the two.
    whole : int
        Images of the batch.
    """

    positions: Tensor
    whole: int

    @classmethod
    def of(cls, whole: int, process: int = 0, processes: int = 1) -> "Share":
        """Deal out a batch: each process gets every n-th pair of mirrored positions."""
        positions = torch.arange(whole)
        pair = torch.minimum(positions, whole - 1 - positions)
        return cls(positions[pair % processes == process], whole)

    @property
    def weight(self) -> float:
        """Part of the batch that the share is."""
        return len(self.positions) / self.whole
