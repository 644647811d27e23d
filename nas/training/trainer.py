"""A training run as a state that one step carries on: batch, subnets, losses, rates, averages.

Every random choice of a step is drawn from (seed, step), so a checkpoint needs no generator's
state and an interrupted run continues bit for bit.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from math import cos, isfinite, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nas.data import Images, TrainingData
from nas.space import Arch
from nas.supernet.importance import importance, importance_permutation
from nas.supernet.initial import calibrate
from nas.supernet.permutation import permute_training
from nas.supernet.sensitivity import row_permutation, row_sensitivity, tile_order
from nas.supernet.supernet import Supernet
from nas.training.checkpoint import read_checkpoint, write_checkpoint
from nas.training.evaluate import evaluate_subnet
from nas.training.recipe import TrainConfig
from nas.training.streamed import batches_of
from nas.warm.start import begin
from rtl.errors import UserError
from rtl.timing.bound import array_work

CALIBRATION_IMAGES = 512
RANKING_IMAGES = 1024


class Trainer:
    """One training run: its state, a step, and saving both.

    Parameters
    ----------
    config : TrainConfig
    data : TrainingData
    path : Path
        The checkpoint; read if it exists.

    Attributes
    ----------
    step, steps : int
        Steps taken so far, and steps of the whole run.
    float_steps, steps_per_epoch : int
        Steps of the first stage, and of an epoch of either.
    elastic_step : int
        The first step in which random subnets are trained.
    first : Arch
        The subnet of the float stage.
    batches : Batches
    net : Supernet
    averages : dict of str to Tensor
        Moving averages by parameter name; empty in the float stage.
    finished : bool
        Whether ``net`` holds the result.
    """

    def __init__(self, config: TrainConfig, data: TrainingData, path: Path) -> None:
        self.config, self.data, self.path = config, data, path
        self.batches = batches_of(config, data.train)
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.float_steps = config.float_epochs * self.steps_per_epoch
        self.elastic_step = self.float_steps - config.elastic_epochs * self.steps_per_epoch
        self.steps = self.float_steps + config.quantized_epochs * self.steps_per_epoch
        self.first = config.alone or config.supernet.space.largest()
        torch.manual_seed(config.seed)
        self.net = Supernet(config.supernet)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99), fused=True)
        self.averages: dict[str, Tensor] = {}
        self.step = 0
        self.finished = False
        if path.exists():
            self._restore(read_checkpoint(path))
        elif config.start:
            begin(self.net, config.start, data.class_names)

    def advance(self) -> dict[str, float]:
        """Take one step; return the loss of each subnet by name.

        Raises
        ------
        UserError
            If a loss is infinite or no number.
        """
        if self.step == self.elastic_step:
            self._begin_elasticity()
        if self.step == self.float_steps:
            self._begin_quantized_stage()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate() * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._losses(*self.batches.batch(self.step))
        for name, loss in losses.items():
            if not isfinite(loss):
                raise self._diverged(f"the loss of the {name} subnet is {loss}")
        self.optimizer.step()
        self.net.limit_scales()
        self.step += 1
        if self.averages:
            self._average()
        return losses

    def validate(self) -> dict[str, float]:
        """Accuracy of the first and of the smallest subnet on the validation set, by name.

        In the quantized stage it is that of the averages, which become the result.
        """
        space, quantized = self.config.supernet.space, self.step > self.float_steps
        net = self._averaged() if quantized else self.net
        archs = {self._first_name: self.first}
        if quantized and self.config.alone is None:
            archs["smallest"] = space.smallest()
        return {
            name: evaluate_subnet(net, arch, self.data.validation, quantized=quantized).accuracy
            for name, arch in archs.items()
        }

    def finish(self) -> None:
        """Make the averages the result, and save it."""
        self.net = self._averaged()
        self.finished = True
        self.save()

    # --- inside a step -----------------------------------------------------------------------

    def _losses(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """Add the gradients of this step's subnets in the stage's mode; return their losses."""
        run = self.net if self.step < self.float_steps else self.net.quantized
        losses, teacher = {}, None
        for name, arch in self._subnets().items():
            logits = run(images, arch)
            losses[name] = self._backward(logits, labels, teacher)
            if teacher is None or self.config.chained:
                teacher = logits.detach().softmax(1)
        return losses

    def _backward(self, logits: Tensor, labels: Tensor, teacher: Tensor | None = None) -> float:
        """Add the gradients of one subnet's loss; return the loss.

        logits: (batch, classes). ``teacher``: the same shape, the largest subnet's probabilities.
        """
        smooth = self.config.label_smoothing
        loss = functional.cross_entropy(logits, labels, label_smoothing=smooth)
        if teacher is not None:
            loss = loss.lerp(functional.cross_entropy(logits, teacher), self.config.distillation)
        loss.backward()
        return loss.item()

    @property
    def _first_name(self) -> str:
        """Name of the first subnet in the losses."""
        return "largest" if self.config.alone is None else "only"

    def _subnets(self) -> dict[str, Arch]:
        """Return the subnets of this step, the teacher first; in a chain, the largest first.

        Largest and smallest go through the 8-bit fractions in turn, and the random ones through
        the widths, so that each is trained equally often.
        """
        if self.config.alone is not None or self.step < self.elastic_step:
            return {self._first_name: self.first}
        space = self.config.supernet.space
        turn = self.step - self.float_steps
        rng = np.random.default_rng([self.config.seed, 2, self.step])
        fractions = space.fractions
        archs = {"largest": space.largest(fractions[turn % len(fractions)])}
        for i in range(self.config.random_subnets):
            width = space.widths[(turn * self.config.random_subnets + i) % len(space.widths)]
            archs[f"random{i}"] = space.sample(rng, width=width)
        archs["smallest"] = space.smallest(fractions[(turn + 1) % len(fractions)])
        if not self.config.chained:
            return archs
        work = {name: array_work(self.net.shape(arch)) for name, arch in archs.items()}
        return {name: archs[name] for name in sorted(work, key=lambda name: -work[name])}

    def _rate(self) -> float:
        """One-cycle learning rate of the current stage: up over 30 %, down to nothing."""
        if self.step < self.float_steps:
            highest, done = self.config.learning_rate, self.step / self.float_steps
        else:
            highest = self.config.quantized_learning_rate
            done = (self.step - self.float_steps) / (self.steps - self.float_steps)
        rise = 0.3
        if done < rise:
            return highest * (0.04 + 0.96 * (1 - cos(pi * done / rise)) / 2)
        return highest * (1e-3 + (1 + cos(pi * (done - rise) / (1 - rise))) / 2)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameter groups: weights decay; scales and steps (``log``) learn at their own rate."""
        weights, scales, rest = [], [], []
        for name, parameter in self.net.named_parameters():
            leaf = name.rpartition(".")[2]
            if leaf == "weight":
                weights.append(parameter)
            else:
                (scales if leaf in ("log", "log_step") else rest).append(parameter)
        return [
            {"params": weights, "weight_decay": self.config.weight_decay, "factor": 1.0},
            {"params": scales, "weight_decay": 0.0, "factor": self.config.scale_rate},
            {"params": rest, "weight_decay": 0.0, "factor": 1.0},
        ]

    # --- averages, and between the stages ----------------------------------------------------

    def _begin_elasticity(self) -> None:
        """Sort what becomes elastic, and freeze the tiles' order."""
        few = self._shuffled(RANKING_IMAGES)
        if self.config.alone is None and self.config.sort_channels:
            permutation = importance_permutation(self.net, importance(self.net, few))
            permute_training(self.net, self.optimizer, self.averages, permutation)
        sensitivity = row_sensitivity(self.net, few, self.first)
        permutation = row_permutation(self.net, sensitivity)
        permute_training(self.net, self.optimizer, self.averages, permutation)
        granularity = self.config.supernet.space.row_granularity
        self.net.order = tile_order(sensitivity, permutation, granularity)
        if self.config.alone is None:
            self.net.spread_gains()

    def _begin_quantized_stage(self) -> None:
        """Set all scales, and start averaging."""
        calibrate(self.net, self._shuffled(CALIBRATION_IMAGES).pixels, self.first)
        self.averages = {n: p.detach().clone() for n, p in self.net.named_parameters()}

    def _shuffled(self, count: int) -> Images:
        """Return ``count`` training images, or all, in an order of the seed's."""
        order = np.random.default_rng([self.config.seed, 3]).permutation(len(self.data.train))
        return self.data.train.take(order[:count])

    @torch.no_grad()
    def _averaged(self) -> Supernet:
        """Return a copy of the network, with the averages as its parameters."""
        net = deepcopy(self.net)
        for name, parameter in net.named_parameters():
            parameter.copy_(self.averages[name])
        return net

    @torch.no_grad()
    def _average(self) -> None:
        """Take the parameters after this step into the averages."""
        # A short memory at first, or the start of the stage would weigh on its end.
        done = self.step - self.float_steps
        decay = min(self.config.average, done / (done + 10))
        for name, parameter in self.net.named_parameters():
            self.averages[name].lerp_(parameter, 1 - decay)

    # --- checkpoints -------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; once finished, only what the result needs.

        Raises
        ------
        UserError
            If a value is infinite or no number; the last checkpoint stays.
        """
        for name, parameter in self.net.named_parameters():
            if not parameter.isfinite().all():
                raise self._diverged(f"{name} holds values that are infinite or no numbers")
        state = {
            "config": asdict(self.config),
            "step": self.step,
            "finished": self.finished,
            "net": self.net.state_dict(),
        }
        if not self.finished:
            state |= {"optimizer": self.optimizer.state_dict(), "averages": self.averages}
        write_checkpoint(self.path, state)

    def _diverged(self, reason: str) -> UserError:
        """Say that training came to nothing, and what is left of it."""
        left = f"{self.path} is kept as last saved" if self.path.exists() else "nothing was saved"
        return UserError(
            f"training diverged at step {self.step} of {self.steps}: {reason}; {left}:"
            " train with another seed (--seed), or a lower learning rate"
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.step, self.finished = state["step"], state["finished"]
        if not self.finished:
            self.optimizer.load_state_dict(state["optimizer"])
            self.averages = state["averages"]
