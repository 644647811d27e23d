"""One of two processes that train together: run by test_processes.py, twice at once."""

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from nas.data import TrainingData
from nas.training.processes import Processes, joined
from nas.training.train import train_supernet
from nas.training.trainer import Trainer
from rtl.errors import UserError


def gradients(trainer: Trainer) -> dict[str, np.ndarray]:
    """Return the gradients of a step, by parameter."""
    trainer._gradients()
    parameters = trainer.net.named_parameters()
    return {name: each.grad.numpy() for name, each in parameters if each.grad is not None}


def refused(processes: Processes, work) -> str:
    """Return how a piece of work ended: the message of the first process, the others' exit code."""
    try:
        work()
    except UserError as error:
        return str(error)
    except SystemExit as stop:
        return str(stop.code)
    return "done"


def disagree(processes: Processes) -> None:
    with processes.agreed():
        if processes.rank == 1:
            raise UserError("its disk is full")


def main(folder: Path) -> None:
    """Do everything that the tests look at, and write it down."""
    torch.set_num_threads(1)
    config, data, states = pickle.loads((folder / "given.pickle").read_bytes())
    with joined("cpu") as processes:
        found = {
            name: gradients(Trainer(each, data, path, processes))
            for name, (each, path) in states.items()
        }
        quiet = Console(quiet=True)
        path = train_supernet(config, folder / "out", data, console=quiet, processes=processes)
        fewer = TrainingData(
            data.train.take(range(64 + processes.rank)),
            data.validation,
            data.class_names,
            data.preprocessing,
        )
        damaged = replace(config, learning_rate=1e30)
        ends = {
            "data": refused(
                processes, lambda: train_supernet(config, folder, fewer, processes=processes)
            ),
            "disagree": refused(processes, lambda: disagree(processes)),
            "diverged": refused(
                processes,
                lambda: train_supernet(damaged, folder, data, console=quiet, processes=processes),
            ),
        }
        answer = {"gradients": found, "path": path, "ends": ends, "all": processes.of_all("me")}
    (folder / f"found{processes.rank}.pickle").write_bytes(pickle.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
