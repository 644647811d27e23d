"""A training run as a state that one step carries on: batch, subnets, losses, rates, averages.

Every random choice of a step is drawn from (seed, step), so a checkpoint needs no generator's
state and an interrupted run continues bit for bit.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nas.data import Images, TrainingData
from nas.space import Arch
from nas.supernet.importance import importance, importance_permutation
from nas.supernet.initial import calibrate
from nas.supernet.permutation import permute_training
from nas.supernet.sensitivity import row_permutation, row_sensitivity, tile_order
from nas.supernet.supernet import Supernet
from nas.training.checkpoint import read_checkpoint, write_checkpoint
from nas.training.drop_path import DropPath
from nas.training.evaluate import evaluate_subnet
from nas.training.loss import subnet_loss
from nas.training.optimizer import one_cycle, optimizer_of, set_rate
from nas.training.partner import Batch, Partner, added, taken
from nas.training.processes import ALONE, Processes
from nas.training.recipe import TrainConfig
from nas.training.streamed import batches_of
from nas.warm.source import NetworkSource
from nas.warm.start import begin
from nas.warm.teacher import Teacher, load_teacher
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
    processes : Processes
        This process among those that train together, and its device; by default one, on the CPU.

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
    gradient_norm : float
        Of the last step, before any clipping.
    averages : dict of str to Tensor
        Moving averages by parameter name; empty in the float stage.
    finished : bool
        Whether ``net`` holds the result.
    partner : Partner, optional
        Process that computes the random subnets of the quantized stage.
    """

    def __init__(
        self, config: TrainConfig, data: TrainingData, path: Path, processes: Processes = ALONE
    ) -> None:
        self.config, self.data, self.path, self.processes = config, data, path, processes
        self.batches = batches_of(config, data.train, processes)
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.float_steps = config.float_epochs * self.steps_per_epoch
        self.elastic_step = self.float_steps - config.elastic_epochs * self.steps_per_epoch
        self.steps = self.float_steps + config.quantized_epochs * self.steps_per_epoch
        self.first = config.alone or config.supernet.space.largest()
        torch.manual_seed(config.seed)
        self.net = Supernet(config.supernet).to(processes.device)
        self.optimizer = optimizer_of(self.net, config)
        self.averages: dict[str, Tensor] = {}
        self.step = 0
        self.gradient_norm = 0.0
        self.finished = False
        self.partner: Partner | None = None
        if path.exists():
            self._restore(read_checkpoint(path))
        elif config.start:
            self._start(config.start)

    @property
    def takes_partner(self) -> bool:
        """Whether a partner may compute subnets of this run, with the same bytes."""
        config, processes = self.config, self.processes
        several = config.alone is None and config.random_subnets > 0 and not config.chained
        here = processes.count == 1 and processes.device.type == "cpu"
        return type(self) is Trainer and several and here

    def advance(self) -> dict[str, float]:
        """Take one step; return the loss of each subnet by name.

        Raises
        ------
        UserError
            If a loss or a gradient is infinite or no number.
        """
        if self.step == self.elastic_step:
            self._begin_elasticity()
        if self.step == self.float_steps:
            self._begin_quantized_stage()
        set_rate(self.optimizer, self._rate())
        losses, norm = self._gradients()
        if self.config.clip_grad:
            parameters, limit = self.net.parameters(), self.config.clip_grad
            torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
        self.optimizer.step()
        self.net.limit_scales()
        self.step += 1
        if self.averages:
            self._average()
        return losses

    @property
    def figures(self) -> dict[str, float]:
        """Figures of the last step, by name."""
        rate = self.optimizer.param_groups[0]["lr"]
        return {"gradient_norm": self.gradient_norm, "learning_rate": rate}

    def validate(self) -> dict[str, float]:
        """Accuracy of the first and of the smallest subnet on the validation set, by name.

        In the quantized stage it is that of the averages, which become the result.
        """
        space, quantized = self.config.supernet.space, self.step > self.float_steps
        net = self._averaged() if quantized else self.net
        archs = {self._first_name: self.first}
        if quantized and self.config.alone is None:
            archs["smallest"] = space.smallest()
        whole, processes = self.data.validation, self.processes
        part = whole.take(np.arange(processes.rank, len(whole), processes.count))
        results = [evaluate_subnet(net, arch, part, quantized=quantized) for arch in archs.values()]
        correct = torch.tensor([int(result.correct.sum()) for result in results])
        processes.add_up([correct])
        return dict(zip(archs, (correct.double() / len(whole)).tolist(), strict=True))

    def finish(self) -> None:
        """Make the averages the result, and save it."""
        self.net = self._averaged()
        self.finished = True
        self.save()

    # --- inside a step -----------------------------------------------------------------------

    def _gradients(self) -> tuple[dict[str, float], Tensor]:
        """Compute the step's gradients over all processes; return losses by name, and their norm.

        The host waits for the device once.
        """
        self.optimizer.zero_grad(set_to_none=True)
        found = dict(self._losses())
        losses = torch.stack([*found.values()])
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        self.processes.add_up([*gradients, losses])
        norm = torch.nn.utils.get_total_norm(gradients)
        *values, self.gradient_norm = torch.cat([losses, norm.view(1)]).tolist()
        for name, loss in zip(found, values, strict=True):
            if not isfinite(loss):
                self._diverged(f"the loss of the {name} subnet is {loss}")
        if not isfinite(self.gradient_norm):
            self._diverged(self._bad_gradient())
        return dict(zip(found, values, strict=True)), norm

    def _losses(self) -> Iterator[tuple[str, Tensor]]:
        """Add the gradients of this step's subnets one by one; yield name and loss of each.

        They are those of this process's share; their sums over all processes are the batch's.
        """
        images, labels = self.batches.batch(self.step)
        answers = self._teacher.probabilities(images) if self._teacher else None
        if self.partner is not None and self.step >= self.float_steps:
            yield from self._losses_with(self.partner, Batch(images, labels, answers))
            return
        teacher = None
        for name, arch in self._subnets().items():
            logits = self._logits(images, name, arch)
            yield name, self._backward(logits, labels, teacher, answers)
            if teacher is None or self.config.chained:
                teacher = logits.detach().softmax(1)

    def _losses_with(self, partner: Partner, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Compute the same as :meth:`_losses`, the random subnets by the partner."""
        (first, largest), *random, (last, smallest) = self._subnets().items()
        partner.begin(batch, [arch for _, arch in random])
        logits = self._logits(batch.images, first, largest)
        teacher = logits.detach().softmax(1)
        partner.teach(teacher)
        yield first, self._backward(logits, batch.labels, None, batch.answers)
        gradients = taken(self.net)
        logits = self._logits(batch.images, last, smallest)
        loss = self._backward(logits, batch.labels, teacher, batch.answers)
        own = taken(self.net)
        for (name, _), (theirs, found) in zip(random, partner.results(len(random)), strict=True):
            gradients = added(gradients, found)
            yield name, theirs
        for parameter, gradient in zip(self.net.parameters(), added(gradients, own), strict=True):
            parameter.grad = gradient
        yield last, loss

    def _logits(self, images: Tensor, name: str, arch: Arch) -> Tensor:
        """Run one subnet of this step on its images."""
        quantized = self.step >= self.float_steps
        tap = self._drop_path(quantized) if name == self._first_name else None
        return (self.net.quantized if quantized else self.net)(images, arch, tap)

    def _backward(
        self,
        logits: Tensor,
        labels: Tensor,
        teacher: Tensor | None = None,
        answers: Tensor | None = None,
    ) -> Tensor:
        """Add the gradients of one subnet's loss, its parameters as of :meth:`_loss`; return it."""
        loss = self._loss(logits, labels, teacher, answers)
        if self.processes.count > 1:
            loss = loss * self.batches.share.weight
        loss.backward()
        return loss.detach()

    def _loss(
        self, logits: Tensor, labels: Tensor, teacher: Tensor | None, answers: Tensor | None
    ) -> Tensor:
        """Compute one subnet's loss, as :func:`subnet_loss` does."""
        return subnet_loss(self.config, logits, labels, teacher, answers)

    @cached_property
    def _teacher(self) -> Teacher | None:
        """The recipe's teacher, read when a step asks for it."""
        source = self.config.teacher
        if source is None:
            return None
        return load_teacher(source, self.data.class_names, self.processes.device)

    def _drop_path(self, quantized: bool) -> DropPath | None:
        """Return what drops paths of the first subnet in this step."""
        if not self.config.drop_path:
            return None
        seed = np.random.SeedSequence([self.config.seed, 4, self.step]).generate_state(1)[0]
        return DropPath(
            self.config.drop_path,
            self.first.depth,
            torch.Generator().manual_seed(int(seed)),
            self.batches.share,
            self.processes.device,
            codes=quantized,
        )

    def _bad_gradient(self) -> str:
        """Compute the step again, subnet by subnet, to say whose gradient is no number."""
        self.optimizer.zero_grad(set_to_none=True)
        problem, self.partner = None, None
        for name, _ in self._losses():
            for parameter, value in self.net.named_parameters():
                if not problem and value.grad is not None and not value.grad.isfinite().all():
                    problem = f"the gradient of {parameter} from the {name} subnet is no number"
        found = [each for each in self.processes.of_all(problem) if each]
        return found[0] if found else "the norm of the gradients is infinite"

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
        """Learning rate of the weights in this step."""
        if self.step < self.float_steps:
            return one_cycle(self.config.learning_rate, self.step / self.float_steps)
        done = (self.step - self.float_steps) / (self.steps - self.float_steps)
        return one_cycle(self.config.quantized_learning_rate, done)

    def _start(self, source: NetworkSource) -> None:
        """Take the weights that training begins with."""
        begin(self.net, source, self.data.class_names)

    # --- averages, and between the stages ----------------------------------------------------

    def _begin_elasticity(self) -> None:
        """Sort what becomes elastic, and freeze the tiles' order."""
        few = self._shuffled(RANKING_IMAGES)
        if self.config.alone is None and self.config.sort_channels:
            found = self.processes.of_first(importance(self.net, few))
            permutation = importance_permutation(self.net, found)
            permute_training(self.net, self.optimizer, self.averages, permutation)
        sensitivity = self.processes.of_first(row_sensitivity(self.net, few, self.first))
        permutation = row_permutation(self.net, sensitivity)
        permute_training(self.net, self.optimizer, self.averages, permutation)
        granularity = self.config.supernet.space.row_granularity
        self.net.order = tile_order(sensitivity, permutation, granularity)
        if self.config.alone is None:
            self.net.spread_gains()

    def _begin_quantized_stage(self) -> None:
        """Set all scales, and start averaging."""
        calibrate(self.net, self._shuffled(CALIBRATION_IMAGES).pixels, self.first)
        self.processes.copy_first(self.net)
        self.net.residual_scale = self.processes.of_first(self.net.residual_scale)
        self._begin_averages()

    def _begin_averages(self) -> None:
        """Start averaging the parameters."""
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
        parameters = dict(self.net.named_parameters())
        averages = [self.averages[name] for name in parameters]
        get_ema_multi_avg_fn(decay)(averages, [*parameters.values()], None)

    # --- checkpoints -------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; once finished, only what the result needs.

        Of several processes the first one writes.

        Raises
        ------
        UserError
            If a value is infinite or no number; the last checkpoint stays.
        """
        for name, parameter in self.net.named_parameters():
            if not parameter.isfinite().all():
                self._diverged(f"{name} holds values that are infinite or no numbers")
        if not self.processes.first:
            return
        state = {
            "config": asdict(self.config),
            "step": self.step,
            "finished": self.finished,
            "net": self.net.state_dict(),
        }
        if not self.finished:
            state |= {"optimizer": self.optimizer.state_dict(), "averages": self.averages}
        write_checkpoint(self.path, state)

    def _diverged(self, reason: str) -> NoReturn:
        """Stop, and say that training came to nothing, and what is left of it."""
        left = f"{self.path} is kept as last saved" if self.path.exists() else "nothing was saved"
        self.processes.refuse(
            UserError(
                f"training diverged at step {self.step} of {self.steps}: {reason}; {left}:"
                " train with another seed (--seed), or a lower learning rate"
            )
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.step, self.finished = state["step"], state["finished"]
        if not self.finished:
            self.optimizer.load_state_dict(state["optimizer"])
            device = self.processes.device
            self.averages = {name: each.to(device) for name, each in state["averages"].items()}
