"""CheckpointWeights out of checkpoint files: tensors alone, never code."""

import argparse
import pickle
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rtl.errors import UserError

NESTED = ("state_dict_ema", "model_ema", "ema", "state_dict", "model", "module", "net", "network")
"""Keys that training scripts put weights under; moving averages first, as timm does."""

STEM = "patch_embed.proj.weight"
"""A weight that every network here has: what is in front of it is a prefix."""

SHOWN = 6  # names of what is ignored

SAVE = "torch.save(model.state_dict(), FILE)"

POINTER = b"version https://git-lfs"  # how a file begins that stands for another
HARMLESS = (argparse.Namespace, np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.int64)))
"""Classes that training scripts save beside weights, besides torch's: they only hold values."""


@dataclass(frozen=True)
class CheckpointWeights:
    """Tensors by name, and how they were found.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Without prefixes.
    notes : tuple of str
        Sentences about what was taken and what was left.
    license : str, optional
        As the file states it.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    license: str | None = field(default=None)


def read_weights(path: Path) -> CheckpointWeights:
    """Read the weights of a timm model.

    Keys such as ``state_dict_ema`` are followed, prefixes such as ``module.`` removed.

    Raises
    ------
    UserError
        If the file cannot be read, holds code, or holds no weights of such a model.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    license_ = None
    if path.suffix == ".safetensors":
        found, license_ = _read_safetensors(path)
    else:
        found = _read_pickle(path)
    notes = []
    while isinstance(found, Mapping) and (keys := [key for key in NESTED if _nested(found, key)]):
        others = [*keys[1:], *(str(key) for key in found if key not in keys)]
        notes.append(f"weights are those under '{keys[0]}'" + _not_those(others))
        found = found[keys[0]]
    tensors = {str(key): value for key, value in _tensors(path, found)}
    prefix = _prefix(path, tensors)
    if prefix:
        left = [key for key in tensors if not key.startswith(prefix)]
        notes.append(f"removed the prefix '{prefix}'" + _left_out(left))
        tensors = {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
    return CheckpointWeights(_joined(tensors), tuple(notes), license_)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by their names, as they are.

    Raises
    ------
    UserError
        If the file cannot be read, holds code, or no tensors by name.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise UserError(f"{path}: a pointer of Git LFS, not the weights: run git lfs pull")
    found = _read_safetensors(path)[0] if path.suffix == ".safetensors" else _read_pickle(path)
    return {str(key): value for key, value in _tensors(path, found)}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], str | None]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path.name}: cannot be read as safetensors: {error}") from None
    return tensors, metadata.get("license") or metadata.get("licence")


def _read_pickle(path: Path) -> Any:
    """Read a file of torch.save, of which nothing is executed."""
    # NumPy's function that makes a number; its module changed its name.
    scalar = cast(Callable[..., Any], np.float64(0).__reduce__()[0])
    try:
        with torch.serialization.safe_globals([*HARMLESS, scalar]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path.name}: holds more than weights, or is none of torch's files; code in it is not"
            f" run: save the weights alone with {SAVE}"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, struct.error) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path.name}: cannot be read as torch's file: {reason}") from None


def _nested(found: Mapping[Any, Any], key: str) -> bool:
    return isinstance(found.get(key), Mapping)


def _tensors(path: Path, found: Any) -> Iterator[tuple[Any, Tensor]]:
    """Yield the tensors of a mapping."""
    if not isinstance(found, Mapping):
        raise UserError(f"{path.name}: holds no mapping of names to weights: save it with {SAVE}")
    for key, value in found.items():
        if isinstance(value, Tensor):
            yield key, value


def _prefix(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Return what is in front of the name of the patch embedding's weight."""
    found = [key for key in tensors if key == STEM or key.endswith(f".{STEM}")]
    if len(found) == 1:
        return found[0].removesuffix(STEM)
    if not found:
        first = ", ".join(list(tensors)[:3]) or "no tensor"
        raise UserError(f"{path.name}: no '{STEM}' of a timm model in it, but {first}, ...")
    raise UserError(f"{path.name}: several networks in one file: {', '.join(found)}")


def _not_those(keys: list[str]) -> str:
    if not keys:
        return ""
    shown = ", ".join(f"'{key}'" for key in keys[:SHOWN])
    return f", not {shown}" + (", ..." if len(keys) > SHOWN else "")


def _left_out(keys: list[str]) -> str:
    if not keys:
        return ""
    shown = ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
    return f"; left out {len(keys)} tensors without it ({shown})"


def _joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join what timm has in one tensor: biases of Q and V alone, and matrices of Q, K and V."""
    result = dict(tensors)
    for key in tensors:
        if match := re.fullmatch(r"(.*\.attn\.)q_bias", key):
            head = match[1]
            q, v = result.pop(key), result.pop(f"{head}v_bias")
            k = result.pop(f"{head}k_bias", torch.zeros_like(q))
            result[f"{head}qkv.bias"] = torch.cat([q, k, v])
        elif match := re.fullmatch(r"(.*\.attn\.)q(_proj)?\.(weight|bias)", key):
            head, suffix, kind = match[1], match[2] or "", match[3]
            names = [f"{head}{each}{suffix}.{kind}" for each in "qkv"]
            q = result[names[0]]
            parts = [result.pop(name, torch.zeros_like(q)) for name in names]
            result[f"{head}qkv.{kind}"] = torch.cat(parts)
    return result
