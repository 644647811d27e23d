"""Tricks of other papers in a step of training, each beside the recipe that is used.

In ten epochs of each stage. Measured in quantized mode on the validation images, as
:mod:`nas.studies.supernet` does; no test image is seen. Each trick is a trainer of its own:

- entropy and distribution of attention: EdgeQAT (arXiv 2402.10787)
- the harder half of the images, and the half of the patches that the class token looks at:
  Tri-Level E-ViT (arXiv 2211.10801), after lottery tickets in the data
"""

from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nas.data import Images, TrainingData
from nas.numerics.reshape import split_heads
from nas.space import Arch
from nas.studies.options import StudyOptions
from nas.studies.supernet import USED, compare
from nas.studies.warm import shortened
from nas.training.batches import Batches
from nas.training.processes import ALONE, Processes
from nas.training.recipe import TrainConfig
from nas.training.trainer import Trainer

SEEDS = 3  # if not said otherwise
ENTROPY = 0.01
"""Weight of the entropies of a block's queries and keys, in nats, in a subnet's loss."""
LIKENESS = 0.1
"""Weight of what the attention weights' cosine lacks to 1, the blocks' sum, in a subnet's loss."""
LONGER = 1.12
"""Epochs that take as long with half of the patches, over those with all."""


class SpreadingTrainer(Trainer):
    """Trainer that rewards the entropy of the codes of queries and keys.

    Taken for normal, theirs is ln(standard deviation) and a constant.
    """

    def _logits(self, images: Tensor, name: str, arch: Arch) -> Tensor:
        self._entropies: list[Tensor] = []
        if self.step < self.float_steps:
            return super()._logits(images, name, arch)

        def tap(name: str, tensor: Tensor) -> Tensor:
            if name.endswith((".q", ".k")):
                self._entropies.append(tensor.std().log())
            return tensor

        return self.net.quantized(images, arch, tap)

    def _loss(self, *args: Any) -> Tensor:
        loss = super()._loss(*args)
        return loss - ENTROPY * torch.stack(self._entropies).sum() if self._entropies else loss


class LikeFloatTrainer(Trainer):
    """Trainer that draws attention weights to those of the same subnet in float mode."""

    def _logits(self, images: Tensor, name: str, arch: Arch) -> Tensor:
        self._distances: list[Tensor] = []
        if self.step < self.float_steps:
            return super()._logits(images, name, arch)
        with torch.no_grad():
            maps = AttentionMaps(self.config.supernet.space.head_dim)
            self.net(images, arch, maps)
        aims = iter(maps.found)

        def tap(name: str, tensor: Tensor) -> Tensor:
            if name.endswith(".attention"):
                cosine = functional.cosine_similarity(tensor, next(aims), -1)
                self._distances.append(1 - cosine.mean())
            return tensor

        return self.net.quantized(images, arch, tap)

    def _loss(self, *args: Any) -> Tensor:
        loss = super()._loss(*args)
        return loss + LIKENESS * torch.stack(self._distances).sum() if self._distances else loss


class AttentionMaps:
    """Tap on a subnet in float mode that finds each block's attention weights.

    Attributes
    ----------
    found : list of (batch, heads, queries, keys)
    """

    def __init__(self, head_dim: int) -> None:
        self.head_dim, self.found = head_dim, []
        self._queries = torch.empty(0)

    def __call__(self, name: str, tensor: Tensor) -> Tensor:
        """Look at queries and keys."""
        if name.endswith(".q"):
            self._queries = split_heads(tensor, self.head_dim)
        if name.endswith(".k"):
            scores = self._queries @ split_heads(tensor, self.head_dim).transpose(-1, -2)
            self.found.append(torch.softmax(scores / sqrt(self.head_dim), -1))
        return tensor


class HardHalfTrainer(Trainer):
    """Trainer that trains on half of the images in each epoch but the first.

    On those whose loss was highest in the largest subnet when they were last seen. A run that was
    interrupted knows of none, and sees all in the next epoch.
    """

    def __init__(
        self, config: TrainConfig, data: TrainingData, path: Path, processes: Processes = ALONE
    ) -> None:
        super().__init__(config, data, path, processes)
        self.batches: HardHalf = HardHalf(config, data.train, processes)

    def _loss(
        self, logits: Tensor, labels: Tensor, teacher: Tensor | None, answers: Tensor | None
    ) -> Tensor:
        if teacher is None:
            losses = functional.cross_entropy(logits.detach(), labels, reduction="none")
            self.batches.losses[self.batches.positions(self.step)] = losses.cpu().numpy()
        return super()._loss(logits, labels, teacher, answers)


class HardHalf(Batches):
    """Batches of the images of the highest losses, each twice in an epoch.

    Attributes
    ----------
    losses : (images,) float64
        Of when each image was last seen; infinite before.
    """

    def __init__(self, config: TrainConfig, images: Images, processes: Processes = ALONE) -> None:
        super().__init__(config, images, processes)
        self.losses = np.full(len(images), np.inf)

    def positions(self, step: int) -> np.ndarray:
        """Return the positions of a step's images."""
        before = self._epoch
        found = super().positions(step)
        if self._epoch == before:
            return found
        if np.isfinite(self.losses).any():
            order = self._order
            hard = np.sort(np.argsort(-self.losses[order], kind="stable")[: (len(order) + 1) // 2])
            self._order = np.tile(order[hard], 2)[: len(order)]
        return super().positions(step)


class FewPatchesTrainer(Trainer):
    """Trainer that drops half of the patches behind the first block."""

    def _logits(self, images: Tensor, name: str, arch: Arch) -> Tensor:
        head_dim = self.config.supernet.space.head_dim
        if self.step < self.float_steps:
            return self.net(images, arch, FewPatches(AttentionMaps(head_dim)))
        return self.net.quantized(images, arch, FewPatches())


class FewPatches:
    """Tap on a subnet that keeps the patches at which the class token looks most: half of them.

    The first block's attention weights decide, as the mean of its heads.

    Parameters
    ----------
    maps : AttentionMaps, optional
        For a subnet in float mode; in quantized mode its own weights are seen.
    """

    def __init__(self, maps: AttentionMaps | None = None) -> None:
        self._maps = maps
        self._weights = torch.empty(0)  # of the class token, (batch, heads, tokens)

    def __call__(self, name: str, tensor: Tensor) -> Tensor:
        """Leave tokens out of the first block's output, (batch, tokens, width)."""
        if name.startswith("blocks.0."):
            self._look(name, tensor.detach())
        if name != "blocks.0.output":
            return tensor
        patches = tensor.shape[1] - 1  # the class token is the last
        seen = self._weights[..., :patches].mean(1)  # (batch, patches)
        kept = seen.topk((patches + 1) // 2, 1).indices.sort(1).values
        kept = functional.pad(kept, (0, 1), value=patches)
        return tensor.gather(1, kept.unsqueeze(-1).expand(-1, -1, tensor.shape[-1]))

    def _look(self, name: str, tensor: Tensor) -> None:
        if self._maps is not None:
            self._maps(name, tensor)
        if name.endswith(".attention"):
            last = tensor[:, :, -1]
            self._weights = last / last.sum(-1, keepdim=True)
        elif name.endswith(".k") and self._maps is not None:
            self._weights = self._maps.found[0][:, :, -1]


KINDS: dict[str, type[Trainer]] = {
    "entropy of queries and keys": SpreadingTrainer,
    "attention weights like float's": LikeFloatTrainer,
    "harder half of the images": HardHalfTrainer,
    "half of the patches": FewPatchesTrainer,
    "half of the patches, equal time": FewPatchesTrainer,
}


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    return compare(options, "tricks", options.seeds or SEEDS, recipes, KINDS)


def recipes(config: TrainConfig) -> dict[str, TrainConfig]:
    """Return the recipe that is used, shortened, under the name of each trick."""
    short = shortened(config)
    found = {USED: short} | dict.fromkeys(KINDS, short)
    return found | {"half of the patches, equal time": lengthened(short, LONGER)}


def lengthened(config: TrainConfig, factor: float) -> TrainConfig:
    """Return a recipe with other numbers of epochs, at least one of each stage."""
    return replace(
        config,
        float_epochs=max(1, round(config.float_epochs * factor)),
        quantized_epochs=max(1, round(config.quantized_epochs * factor)),
    )
