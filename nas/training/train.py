"""Training of the supernet: a float stage at full size, then elasticity and quantization at once.

The run is a function of its configuration (:mod:`nas.training.recipe`). What a step does is in
:mod:`nas.training.trainer`; here is what goes on around the steps: progress, logs, saving, Ctrl-C.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn

from nas.data import TrainingData
from nas.numerics.device import enough_memory
from nas.training.checkpoint import checkpoint_path
from nas.training.partner import Partner
from nas.training.processes import ALONE, Processes
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
    processes: Processes = ALONE,
    workers: int = 1,
    kind: type[Trainer] = Trainer,
) -> Path:
    """Train a supernet, or continue or reuse the run of the same configuration.

    Parameters
    ----------
    config : TrainConfig
    directory : Path or str
        Folder of the checkpoint, with TensorBoard's logs beside it. Several processes share it.
    data : TrainingData
    console : rich.console.Console, optional
        Terminal of the progress bar; ``Console(quiet=True)`` shows none.
    processes : Processes
        This process among those that train together, and its device; by default one, on the CPU.
    workers : int
        Processes that compute one step: on a CPU, a second one takes the random subnets of the
        quantized stage. The bytes are the same.
    kind : type
        Trainer that takes the steps.

    Returns
    -------
    Path
        The checkpoint, for :func:`nas.training.checkpoint.load_supernet`.

    Raises
    ------
    UserError
        If a checkpoint is in the way that cannot be read, training diverges, memory does not
        suffice, or several processes have not the same data.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the checkpoint is saved.
    """
    path = checkpoint_path(config, directory, data)
    processes.require_equal(path.name, "have other images or another recipe: give all the same")
    smaller = f"lower the recipe's batch, now {config.batch} images, or choose a smaller space"
    with _threads(config.threads), enough_memory(smaller):
        with processes.agreed():
            trainer = kind(config, data, path, processes)
        processes.require_equal(
            trainer.step, f"find another state of {path}: they must share that folder"
        )
        if not trainer.finished:
            _run(trainer, console or Console(stderr=True), helped=workers > 1)
    return path


def _run(trainer: Trainer, console: Console, *, helped: bool) -> None:
    """Train to the end, saving now and then, at Ctrl-C, and when done."""
    processes, helped = trainer.processes, helped and trainer.takes_partner
    with processes.agreed():
        trainer.save()  # an unwritable directory shows before the work and not after it
    with (
        _writer(trainer) as write,
        progress_bars(TimeRemainingColumn(), LOSS, console=_shown(console, processes)) as progress,
        _deferred_stop(at_once=processes.count == 1) as stopped,
        ExitStack() as stack,
    ):
        task = progress.add_task("", total=trainer.steps, completed=trainer.step, loss=0.0)
        while trainer.step < trainer.steps:
            if helped and trainer.partner is None and trainer.step > trainer.float_steps:
                trainer.partner = stack.enter_context(Partner(trainer.net, trainer.config))
            losses = trainer.advance()
            stage = "float stage" if trainer.step <= trainer.float_steps else "quantized stage"
            first, *_ = losses.values()
            progress.update(task, completed=trainer.step, description=stage, loss=first)
            if trainer.step % LOG_STEPS == 0:
                write("loss", losses)
                write("step", trainer.figures)
            if trainer.step % (VALIDATE_EPOCHS * trainer.steps_per_epoch) == 0:
                write("validation", trainer.validate())
            if any(processes.of_all(stopped.is_set())):
                trainer.save()
                raise KeyboardInterrupt(
                    f"interrupted at step {trainer.step} of {trainer.steps}:"
                    " the same command resumes"
                )
            if trainer.step % SAVE_STEPS == 0:
                trainer.save()
    trainer.finish()


def _shown(console: Console, processes: Processes) -> Console:
    """Return the terminal of the first process; the others have none."""
    return console if processes.first else Console(quiet=True)


@contextmanager
def _writer(trainer: Trainer) -> Iterator[Callable[[str, Mapping[str, float]], None]]:
    """Yield a function that logs values by name, in a group, for TensorBoard."""
    if not trainer.processes.first:
        yield lambda group, values: None
        return
    # Imported here: TensorBoard takes seconds to load, and reuse of a run needs none of it.
    from torch.utils.tensorboard import SummaryWriter

    logs = trainer.path.parent / "tensorboard" / trainer.path.stem
    logs.mkdir(parents=True, exist_ok=True)
    with SummaryWriter(str(logs), purge_step=trainer.step) as writer:

        def write(group: str, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(f"{group}/{name}", value, trainer.step)

        yield write


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
def _deferred_stop(*, at_once: bool) -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, to be looked at between steps.

    With ``at_once`` the second one stops; otherwise all but the first are ignored: ``torchrun``
    hands on what the terminal has sent already.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handler(number: int, frame: object) -> None:
        if at_once and event.is_set() and previous[signal.SIGINT] is not signal.SIG_IGN:
            raise KeyboardInterrupt
        event.set()

    for number in previous:
        signal.signal(number, handler)
    try:
        yield event
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
