"""Training of the supernet: a float stage at full size, then elasticity and quantization at once.

The run is a function of its configuration. Every random choice of a
step is drawn from (seed, step), so a checkpoint needs no generator's state and an interrupted
run continues bit for bit.
"""

import io
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.nn import functional

from nas.augment import Augmentation
from nas.calibrate import calibrate
from nas.data import Pictures, TrainingData, load_digits
from nas.evaluate import evaluate_subnet
from nas.sensitivity import permute_training, row_permutation, row_sensitivity, tile_order
from nas.space import Arch
from nas.supernet import Supernet, SupernetConfig
from rtl.errors import UserError
from rtl.files import atomic_write, sha256_of

RECIPE = 1  # raise when the code below trains differently from the same configuration
CALIBRATION_PICTURES = 512
SENSITIVITY_PICTURES = 1024


@dataclass(frozen=True)
class TrainConfig:
    """All that decides a training run, apart from the pictures themselves.

    Parameters
    ----------
    supernet : SupernetConfig
    augmentation : Augmentation
    seed : int
    batch : int
        Pictures per step.
    float_epochs, quantized_epochs : int
        Length of the two stages.
    learning_rate, quantized_learning_rate : float
        Highest rate of each stage's one-cycle schedule.
    scale_rate : float
        Rate of scales and steps over that of the weights.
    weight_decay : float
        Of the weights; biases, scales and the rest have none.
    label_smoothing : float
    random_subnets : int
        Random subnets per step, beside the largest and the smallest.
    distillation : float
        Share of the largest subnet's answers in the loss of the others; the labels' is the rest.
    average : float
        Decay of the moving average of all parameters over the quantized stage, the result.
    threads : int
        Of PyTorch. They decide the last bits of every sum, hence belong here. One is nearly as
        fast as two for tensors of this size, and many times faster on a busy machine.
    """

    supernet: SupernetConfig = field(default_factory=SupernetConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    batch: int = 64
    float_epochs: int = 30
    quantized_epochs: int = 30
    learning_rate: float = 2e-3
    quantized_learning_rate: float = 2e-3
    scale_rate: float = 0.5
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    random_subnets: int = 2
    distillation: float = 1.0
    average: float = 0.99
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("batch", "float_epochs", "quantized_epochs", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Return plain values; :meth:`from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TrainConfig":
        """Build a configuration from what :meth:`to_json` gave."""
        nested = {
            "supernet": SupernetConfig.from_json(data["supernet"]),
            "augmentation": Augmentation(**data["augmentation"]),
        }
        return cls(**{**data, **nested})

    def key(self, data: TrainingData) -> str:
        """Hash of configuration, recipe and training pictures: 64 hexadecimal digits."""
        text = json.dumps({"recipe": RECIPE, **self.to_json()}, sort_keys=True)
        parts = [data.train.images, data.train.labels, data.validation.images]
        return sha256_of(text, *(part.numpy().tobytes() for part in parts))


def checkpoint_path(
    config: TrainConfig, directory: Path | str, data: TrainingData | None = None
) -> Path:
    """Where :func:`train_supernet` keeps the run of a configuration."""
    return Path(directory) / f"supernet-{config.key(data or load_digits())[:12]}.pt"


def train_supernet(
    config: TrainConfig,
    directory: Path | str = "runs/supernets",
    data: TrainingData | None = None,
    *,
    console: Console | None = None,
) -> Path:
    """Train a supernet, or continue or reuse the run of the same configuration.

    Parameters
    ----------
    config : TrainConfig
    directory : Path or str
        For the checkpoint, and TensorBoard's logs beside it.
    data : TrainingData, optional
        Pictures; by default the digits.
    console : rich.console.Console, optional
        Where the progress bar goes; ``Console(quiet=True)`` shows none.

    Returns
    -------
    Path
        The checkpoint, for :func:`load_supernet`.

    Raises
    ------
    UserError
        If a checkpoint is in the way that cannot be read.
    KeyboardInterrupt
        After Ctrl-C, once the checkpoint is saved.
    """
    data = data or load_digits()
    path = checkpoint_path(config, directory, data)
    trainer = Trainer(config, data, path)
    if not trainer.finished:
        trainer.run(console or Console(stderr=True))
    return path


def load_supernet(path: Path | str) -> Supernet:
    """Load a trained supernet, in evaluation mode.

    Raises
    ------
    UserError
        If the file is missing, damaged, or of a run that is not finished.
    """
    state = read_checkpoint(path)
    if not state["finished"]:
        raise UserError(f"{path}: training is not finished (step {state['step']}): run it again")
    net = Supernet(SupernetConfig.from_json(state["config"]["supernet"]))
    net.load_state_dict(state["net"])
    return net.eval().requires_grad_(False)


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read what :meth:`Trainer.save` wrote."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        state = torch.load(path, weights_only=True)
        if state["recipe"] != RECIPE:
            raise UserError(f"{path}: recipe {state['recipe']}, expected {RECIPE}: delete the file")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError) as error:
        raise UserError(
            f"{path}: damaged, or not a checkpoint ({type(error).__name__}): delete the file"
        ) from None
    return state


class Trainer:
    """One training run: its state, a step, and saving both.

    Parameters
    ----------
    config : TrainConfig
    data : TrainingData
    path : Path
        The checkpoint; read if it exists.
    """

    SAVE_EVERY = 300  # steps
    LOG_EVERY = 20
    VALIDATE_EVERY = 10  # epochs

    def __init__(self, config: TrainConfig, data: TrainingData, path: Path) -> None:
        self.config, self.data, self.path = config, data, path
        self.steps_per_epoch = max(1, len(data.train) // config.batch)
        self.float_steps = config.float_epochs * self.steps_per_epoch
        self.steps = self.float_steps + config.quantized_epochs * self.steps_per_epoch
        torch.manual_seed(config.seed)
        self.net = Supernet(config.supernet)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99), fused=True)
        self.averages: dict[str, Tensor] = {}
        self.step = 0
        self.finished = False
        if path.exists():
            self._restore(read_checkpoint(path))

    # --- the run ----------------------------------------------------------------------------

    def run(self, console: Console) -> None:
        """Train to the end, saving now and then, at Ctrl-C, and when done."""
        # Imported here: TensorBoard takes seconds to load, and reuse of a run needs none of it.
        from torch.utils.tensorboard import SummaryWriter

        logs = self.path.parent / "tensorboard" / self.path.stem
        logs.mkdir(parents=True, exist_ok=True)
        self.save()  # an unwritable directory shows before the work and not after it
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
        )
        with (
            SummaryWriter(str(logs), purge_step=self.step) as writer,
            Progress(*columns, console=console) as progress,
            _deferred_interrupt() as interrupted,
            _threads(self.config.threads),
        ):
            task = progress.add_task("", total=self.steps, completed=self.step, loss=0.0)
            while self.step < self.steps:
                losses = self.advance()
                stage = "float stage" if self.step <= self.float_steps else "quantized supernet"
                progress.update(
                    task, completed=self.step, description=stage, loss=losses["largest"]
                )
                if self.step % self.LOG_EVERY == 0:
                    for name, loss in losses.items():
                        writer.add_scalar(f"loss/{name}", loss, self.step)
                if self.step % (self.VALIDATE_EVERY * self.steps_per_epoch) == 0:
                    for name, accuracy in self.validate().items():
                        writer.add_scalar(f"validation/{name}", accuracy, self.step)
                if interrupted.is_set():
                    self.save()
                    raise KeyboardInterrupt(
                        f"interrupted at step {self.step} of {self.steps}: the same command resumes"
                    )
                if self.step % self.SAVE_EVERY == 0:
                    self.save()
        self._finish()

    def advance(self) -> dict[str, float]:
        """Take one step; return the loss of each subnet by name."""
        if self.step == self.float_steps:
            self._freeze_order()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate() * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        images, labels = self._batch()
        if self.step < self.float_steps:
            losses = self._float_losses(images, labels)
        else:
            losses = self._quantized_losses(images, labels)
        self.optimizer.step()
        self.step += 1
        if self.averages:
            self._average()
        return losses

    def validate(self) -> dict[str, float]:
        """Accuracy of largest and smallest subnet on the validation set, by name."""
        space, quantized = self.config.supernet.space, self.step > self.float_steps
        archs = {"largest": space.largest(), "smallest": space.smallest()}
        if not quantized:
            archs.pop("smallest")
        return {
            name: evaluate_subnet(
                self.net, arch, self.data.validation, quantized=quantized
            ).accuracy
            for name, arch in archs.items()
        }

    # --- a step ------------------------------------------------------------------------------

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return the pictures of this step, distorted, and their labels."""
        epoch, index = divmod(self.step, self.steps_per_epoch)
        order = np.random.default_rng([self.config.seed, 0, epoch]).permutation(
            len(self.data.train)
        )
        chosen = order[index * self.config.batch : (index + 1) * self.config.batch]
        part: Pictures = self.data.train.take(chosen)
        seed = np.random.SeedSequence([self.config.seed, 1, self.step]).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        return self.config.augmentation(part.images, generator), part.labels

    def _float_losses(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        logits = self.net(images, self.config.supernet.space.largest())
        return {"largest": self._backward(logits, labels)}

    def _quantized_losses(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        losses, teacher = {}, None
        for name, arch in self._subnets().items():
            logits = self.net.quantized(images, arch)
            losses[name] = self._backward(logits, labels, teacher)
            if teacher is None:
                teacher = logits.detach().softmax(1)
        return losses

    def _backward(self, logits: Tensor, labels: Tensor, teacher: Tensor | None = None) -> float:
        smooth = self.config.label_smoothing
        loss = functional.cross_entropy(logits, labels, label_smoothing=smooth)
        if teacher is not None:
            loss = loss.lerp(functional.cross_entropy(logits, teacher), self.config.distillation)
        loss.backward()
        return loss.item()

    def _subnets(self) -> dict[str, Arch]:
        """Return the subnets of this step, the teacher first.

        Largest and smallest go through the 8-bit fractions in turn, and the random ones through
        the widths, so that each is trained equally often.
        """
        space = self.config.supernet.space
        turn = self.step - self.float_steps
        rng = np.random.default_rng([self.config.seed, 2, self.step])
        fractions = space.fractions
        archs = {"largest": space.largest(fractions[turn % len(fractions)])}
        for i in range(self.config.random_subnets):
            width = space.widths[(turn * self.config.random_subnets + i) % len(space.widths)]
            archs[f"random{i}"] = space.sample(rng, width=width)
        archs["smallest"] = space.smallest(fractions[(turn + 1) % len(fractions)])
        return archs

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
        """Parameter groups: weights decay; scales and steps (``ln``) learn at their own rate."""
        weights, scales, rest = [], [], []
        for name, parameter in self.net.named_parameters():
            leaf = name.rpartition(".")[2]
            if leaf == "weight":
                weights.append(parameter)
            else:
                (scales if leaf in ("ln", "ln_step") else rest).append(parameter)
        return [
            {"params": weights, "weight_decay": self.config.weight_decay, "factor": 1.0},
            {"params": scales, "weight_decay": 0.0, "factor": self.config.scale_rate},
            {"params": rest, "weight_decay": 0.0, "factor": 1.0},
        ]

    # --- between the stages, and after them --------------------------------------------------

    def _freeze_order(self) -> None:
        """Gather the sensitive rows, rank the tiles, set all scales, start averaging."""
        rng = np.random.default_rng([self.config.seed, 3])
        shuffled = self.data.train.take(rng.permutation(len(self.data.train)))
        sensitivity = row_sensitivity(
            self.net, shuffled.take(range_of(shuffled, SENSITIVITY_PICTURES))
        )
        permutation = row_permutation(self.net, sensitivity)
        permute_training(self.net, self.optimizer, self.averages, permutation)
        granularity = self.config.supernet.space.row_granularity
        self.net.order = tile_order(sensitivity, permutation, granularity)
        calibrate(self.net, shuffled.take(range_of(shuffled, CALIBRATION_PICTURES)).images)
        self.averages = {n: p.detach().clone() for n, p in self.net.named_parameters()}

    @torch.no_grad()
    def _average(self) -> None:
        # A short memory at first, or the start of the stage would weigh on its end.
        done = self.step - self.float_steps
        decay = min(self.config.average, done / (done + 10))
        for name, parameter in self.net.named_parameters():
            self.averages[name].lerp_(parameter, 1 - decay)

    def _finish(self) -> None:
        with torch.no_grad():
            for name, parameter in self.net.named_parameters():
                parameter.copy_(self.averages[name])
        self.finished = True
        self.save()

    # --- checkpoints -------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; it appears whole or not at all."""
        state = {
            "recipe": RECIPE,
            "config": self.config.to_json(),
            "step": self.step,
            "finished": self.finished,
            "net": self.net.state_dict(),
        }
        if not self.finished:
            state |= {"optimizer": self.optimizer.state_dict(), "averages": self.averages}
        # By way of memory: on a full disk torch's own writer fails with an error that hides why.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with atomic_write(self.path) as file:
            file.write(buffer.getbuffer())

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.step, self.finished = state["step"], state["finished"]
        if not self.finished:
            self.optimizer.load_state_dict(state["optimizer"])
            self.averages = state["averages"]


def range_of(pictures: Pictures, count: int) -> np.ndarray:
    """Positions of the first ``count`` pictures, or of all."""
    return np.arange(min(count, len(pictures)))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run PyTorch with ``count`` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, to be looked at between steps; the second one stops."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: object) -> None:
        if event.is_set() and callable(previous):
            raise KeyboardInterrupt
        event.set()

    signal.signal(signal.SIGINT, handler)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
