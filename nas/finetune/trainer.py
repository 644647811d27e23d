"""Training of one subnet, in quantized mode and from a supernet's weights."""

from functools import cached_property

import torch
from torch import Tensor

from nas.space import Arch
from nas.supernet.supernet import Supernet
from nas.training.checkpoint import load_supernet
from nas.training.trainer import Trainer
from nas.warm.source import NetworkSource
from nas.warm.teacher import Teacher


class LargestSubnet:
    """Largest subnet of a trained supernet, as a teacher.

    Parameters
    ----------
    net : Supernet
    """

    def __init__(self, net: Supernet) -> None:
        self.net, self.arch = net, net.config.space.largest()

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Classify the task's (batch, height, width, channels) images: (batch, classes)."""
        return self.net.quantized(images, self.arch).softmax(1)


class SubnetTrainer(Trainer):
    """Training run of one subnet: the quantized stage alone.

    ``start`` of its configuration is the checkpoint of a supernet. Scales and the order of row
    tiles are the supernet's, so the subnet's cycles stay as they are.
    """

    @property
    def arch(self) -> Arch:
        """The subnet."""
        return self.first

    def _start(self, source: NetworkSource) -> None:
        self.net.load_state_dict(self._supernet.state_dict())

    def _begin_elasticity(self) -> None:
        """Leave the order of rows and tiles as it is."""

    def _begin_quantized_stage(self) -> None:
        """Leave all scales as they are."""
        self._begin_averages()

    @property
    def _supernet(self) -> Supernet:
        assert self.config.start is not None
        return load_supernet(self.config.start.name)

    @cached_property
    def _teacher(self) -> Teacher | LargestSubnet | None:
        """The recipe's teacher, else the supernet's largest subnet; none where labels are all."""
        if not self.config.teacher_share:
            return None
        if self.config.teacher is not None:
            return super()._teacher
        return LargestSubnet(self._supernet.to(self.processes.device))
