"""Training of the supernet: a float stage at full size, then elasticity and quantization at once.

The run is a function of its configuration (:mod:`nas.training.recipe`). What a step does is in
:mod:`nas.training.trainer`; here is what goes on around the steps: progress, logs, saving, Ctrl-C.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn

from nas.data import TrainingData
from nas.training.checkpoint import checkpoint_path
from nas.training.recipe import TrainConfig
from nas.training.trainer import Trainer
from rtl.console import progress_bars

LOSS = TextColumn("loss {task.fields[loss]:.3f}")
SAVE_STEPS = 300
LOG_STEPS = 20
VALIDATE_EPOCHS = 10


def train_supernet(
    config: TrainConfig,
    directory: Path | str,
    data: TrainingData,
    *,
    console: Console | None = None,
) -> Path:
    """Train a supernet, or continue or reuse the run of the same configuration.

    Parameters
    ----------
    config : TrainConfig
    directory : Path or str
        Folder of the checkpoint, with TensorBoard's logs beside it.
    data : TrainingData
    console : rich.console.Console, optional
        Terminal of the progress bar; ``Console(quiet=True)`` shows none.

    Returns
    -------
    Path
        The checkpoint, for :func:`nas.training.checkpoint.load_supernet`.

    Raises
    ------
    UserError
        If a checkpoint is in the way that cannot be read, or training diverges.
    KeyboardInterrupt
        After Ctrl-C, once the checkpoint is saved.
    """
    trainer = Trainer(config, data, checkpoint_path(config, directory, data))
    if not trainer.finished:
        _run(trainer, console or Console(stderr=True))
    return trainer.path


def _run(trainer: Trainer, console: Console) -> None:
    """Train to the end, saving now and then, at Ctrl-C, and when done."""
    # Imported here: TensorBoard takes seconds to load, and reuse of a run needs none of it.
    from torch.utils.tensorboard import SummaryWriter

    logs = trainer.path.parent / "tensorboard" / trainer.path.stem
    logs.mkdir(parents=True, exist_ok=True)
    trainer.save()  # an unwritable directory shows before the work and not after it
    with (
        SummaryWriter(str(logs), purge_step=trainer.step) as writer,
        progress_bars(TimeRemainingColumn(), LOSS, console=console) as progress,
        _deferred_interrupt() as interrupted,
        _threads(trainer.config.threads),
    ):
        task = progress.add_task("", total=trainer.steps, completed=trainer.step, loss=0.0)
        while trainer.step < trainer.steps:
            losses = trainer.advance()
            stage = "float stage" if trainer.step <= trainer.float_steps else "quantized stage"
            first, *_ = losses.values()
            progress.update(task, completed=trainer.step, description=stage, loss=first)
            if trainer.step % LOG_STEPS == 0:
                for name, loss in losses.items():
                    writer.add_scalar(f"loss/{name}", loss, trainer.step)
            if trainer.step % (VALIDATE_EPOCHS * trainer.steps_per_epoch) == 0:
                for name, accuracy in trainer.validate().items():
                    writer.add_scalar(f"validation/{name}", accuracy, trainer.step)
            if interrupted.is_set():
                trainer.save()
                raise KeyboardInterrupt(
                    f"interrupted at step {trainer.step} of {trainer.steps}:"
                    " the same command resumes"
                )
            if trainer.step % SAVE_STEPS == 0:
                trainer.save()
    trainer.finish()


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
