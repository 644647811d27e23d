"""Training of a task's supernet, in one process or several."""

import shlex
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from nas.cost import HardwareTarget
from nas.numerics.fused import fused
from nas.search import run_folder
from nas.search.candidate_engines import CandidateEngines
from nas.task.opening import open_task
from nas.task.task import Task
from nas.train.options import TrainOptions
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import evaluate_subnet
from nas.training.processes import Processes, joined
from nas.training.recipe import TrainConfig
from nas.training.train import train_supernet
from rtl.cli import EXIT_INTERRUPT

NETWORKS = "start", "start_checkpoint", "teacher", "teacher_checkpoint", "teacher_share"
"""Options that a task's file has in its recipe."""


def run(options: TrainOptions) -> Path:
    """Train the supernet of a task; return its checkpoint.

    Raises
    ------
    UserError
        If an option is wrong, the images cannot be used, or training fails.
    """
    with joined(options.device) as processes, ExitStack() as stack:
        console = Console(stderr=True, quiet=not processes.first)
        with processes.agreed(ahead=True):
            task = open_task(options, console, options.recipe)
            config = config_of(options, task)
            stack.enter_context(fused(options.compile, processes.device))
            if processes.first:
                stack.enter_context(run_folder.locked(options.folder))
                run_folder.write_task(task, options.folder)
        try:
            checkpoint = train_supernet(
                config,
                options.supernets,
                task.data,
                console=console,
                processes=processes,
                workers=options.workers,
            )
        except KeyboardInterrupt:
            if processes.first:
                raise
            raise SystemExit(EXIT_INTERRUPT) from None
        if processes.first:
            report(checkpoint, task, options, processes)
    return checkpoint


def config_of(options: TrainOptions, task: Task) -> TrainConfig:
    """Return the configuration of the supernet that a search on the same engine trains."""
    hardware = HardwareTarget.load(options.board, options.engine)
    engines = CandidateEngines.of([hardware], task.space)
    return task.config(
        engines.space, act_bits=engines.act_bits, seed=options.seed, threads=options.threads
    )


def report(checkpoint: Path, task: Task, options: TrainOptions, processes: Processes) -> None:
    """Print accuracies on the validation images, where the supernet is, and how to go on."""
    net = load_supernet(checkpoint).to(processes.device)
    space = net.config.space
    accuracies = [
        f"{name} subnet {evaluate_subnet(net, arch, task.data.validation).accuracy:.1%}"
        for name, arch in (("largest", space.largest()), ("smallest", space.smallest()))
    ]
    count = len(task.data.validation)
    print(f"Accuracy on {count:,} validation images: {', '.join(accuracies)}")
    print(f"Wrote {checkpoint}; a search that takes it: {search_command(options)}")


def search_command(options: TrainOptions) -> str:
    """Return the command that searches the supernet."""
    words = ["python", "-m", "nas.search"]
    names = ["name", "out", "skip_unreadable", "board", "engine", "seed", "threads", "device"]
    names += ["quick", *(("split", "space", *NETWORKS) if options.of_digits else ())]
    values = {name: getattr(options, name) for name in names}
    if not options.of_digits:
        values |= {"name": options.run_name, "task": options.folder / run_folder.TASK}
    for name, value in values.items():
        if value is not None and value != getattr(TrainOptions, name):
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return shlex.join(words)
