"""Answers of a model on a set of images."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.data import Images
from nas.intervals import wilson
from nas.space import Arch
from nas.supernet.portions import forward_images
from nas.supernet.supernet import Supernet

BATCH = 250


@dataclass(frozen=True, eq=False)
class Result:
    """Answers of a model on a set of images.

    Parameters
    ----------
    predicted : ndarray
        (count,) class of the highest logit; the first one among equals.
    correct : ndarray
        (count,) bool.
    cross_entropy : ndarray
        (count,) in nats: finer than right or wrong, for comparing candidates.
    """

    predicted: np.ndarray
    correct: np.ndarray
    cross_entropy: np.ndarray

    @property
    def accuracy(self) -> float:
        """Fraction of right answers."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, on other images of the same kind."""
        return wilson(int(self.correct.sum()), len(self.correct))


@torch.no_grad()
def evaluate(predict: Callable[[Tensor], Tensor], images: Images, batch: int = BATCH) -> Result:
    """Classify all images.

    Parameters
    ----------
    predict : callable
        (batch, height, width, channels) uint8 to (batch, classes) logits in real values, on any
        device.
    """
    logits = torch.cat([predict(part.pixels).float() for part in images.batches(batch)]).cpu()
    predicted = logits.argmax(1)
    loss = torch.nn.functional.cross_entropy(logits, images.labels, reduction="none")
    return Result(predicted.numpy(), (predicted == images.labels).numpy(), loss.numpy())


def evaluate_subnet(net: Supernet, arch: Arch, images: Images, *, quantized: bool = True) -> Result:
    """Evaluate one subnet in quantized or float mode."""
    run = net.quantized if quantized else net
    batch = forward_images(net.shape(arch), BATCH)
    return evaluate(lambda images: run(images, arch), images, batch)


def moved_net(net: Supernet, device: torch.device) -> Supernet:
    """Return the network on a device: itself where it is there, else a copy."""
    return net if net.position.device == device else deepcopy(net).to(device)
