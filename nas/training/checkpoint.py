"""The file of a training run: where it lies, and the supernet that is read back from it."""

import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from nas.data import TrainingData
from nas.supernet.supernet import Supernet, SupernetConfig
from nas.training.recipe import RECIPE, TrainConfig
from rtl.errors import UserError
from rtl.files import atomic_write


def checkpoint_path(config: TrainConfig, directory: Path | str, data: TrainingData) -> Path:
    """Name the file in which the run of a configuration on some images is kept."""
    return Path(directory) / f"supernet-{config.key(data)[:12]}.pt"


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a run's state, tensors and plain values; the file appears whole or not at all."""
    # By way of memory: on a full disk torch's own writer fails with an error that hides why.
    buffer = io.BytesIO()
    torch.save({"recipe": RECIPE, **state}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote on any device; the tensors are on the CPU.

    Raises
    ------
    UserError
        If the file is missing, damaged, or of another recipe.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, on a foreign pickle
            state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != RECIPE:
            raise UserError(f"{path}: recipe {state['recipe']}, expected {RECIPE}: delete the file")
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        pickle.PickleError,
    ) as error:
        raise UserError(
            f"{path}: damaged, or not a checkpoint ({type(error).__name__}): delete the file"
        ) from None
    return state


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
    net = Supernet(TypeAdapter(SupernetConfig).validate_python(state["config"]["supernet"]))
    net.load_state_dict(state["net"])
    return net.eval().requires_grad_(False)
