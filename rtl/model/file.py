"""The file that holds an integer model: safetensors, a JSON header, and a hash over both.

Source: docs/format.md. What header and tensors mean is the business of :mod:`rtl.model.model`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from boards.host.checks import shown
from rtl.errors import UserError
from rtl.files import atomic_write

FORMAT = 4  # the highest that is read
HEADER = "pulsar"  # the metadata entry
DTYPES = ("I8", "U8", "I16", "I32", "U32", "F32")

Header = dict[str, Any]
Tensors = dict[str, np.ndarray]


def read(path: Path | str) -> tuple[Header, Tensors]:
    """Read a file and check its format number and hash.

    Returns
    -------
    header : dict
        The JSON header without ``hash``.
    tensors : dict of str to array

    Raises
    ------
    UserError
        If the file is absent, not an integer model, newer than :data:`FORMAT`, or altered.
    """
    if not Path(path).is_file():
        raise UserError("not a file" if Path(path).exists() else "no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            header = _parse((file.metadata() or {}).get(HEADER))
            tensors = {name: _tensor(file, name) for name in file.keys()}
    except SafetensorError as error:
        raise UserError(f"truncated, or not an integer model ({_one_line(error)})") from None
    written = header.pop("hash", None)
    if written != content_hash(header, tensors):
        raise UserError(f"altered since it was written: its content does not have hash {written}")
    return header, tensors


def write(path: Path | str, header: Header, tensors: Tensors) -> None:
    """Write a file, equal to the byte for equal content; it appears whole or not at all."""
    text = canonical_json({**header, "hash": content_hash(header, tensors)})
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    data = save(contiguous, metadata={HEADER: text})
    with atomic_write(path) as file:
        file.write(data)


def canonical_json(value: object) -> str:
    """Sorted keys, no spaces; numbers as Python writes them (shortest text that reads back)."""
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"header cannot be written as JSON: {_one_line(error)}") from None
    return text


def content_hash(header: Header, tensors: Tensors) -> str:
    """SHA-256 (64 hexadecimal digits) over a header without ``hash`` and its tensors."""
    digest = hashlib.sha256(canonical_json(header).encode())
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")  # ascontiguousarray would give () an axis
        shape = "x".join(str(size) for size in tensor.shape)
        digest.update(f"{name}:{tensor.dtype.name}:{shape}".encode())
        digest.update(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def _parse(text: str | None) -> Header:
    if text is None:
        raise UserError("not an integer model: it has no 'pulsar' header")
    try:
        header = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_object_of_unique_keys
        )
    except (ValueError, RecursionError) as error:
        raise UserError(f"header is not valid JSON: {_one_line(error)}") from None
    if not isinstance(header, dict):
        raise UserError(f"header must be a JSON object, not {shown(header)}")
    _check_format(header.get("format"))
    return header


def _check_format(number: object) -> None:
    if type(number) is not int or number < 1:
        raise UserError(f"format must be 1 to {FORMAT}, not {shown(number)}")
    if number > FORMAT:
        raise UserError(
            f"format {shown(number)} is newer than {FORMAT}, the highest that this version reads:"
            " update pulsar-vit"
        )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; JSON itself lets a key stand twice, and the last one win."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {shown(twice)} occurs twice in one object")
    return found


def _tensor(file: Any, name: str) -> np.ndarray:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in DTYPES:
        raise UserError(
            f"tensor {shown(name)} has dtype {dtype}: choose one of {', '.join(DTYPES)}"
        )
    tensor = file.get_tensor(name)
    tensor.flags.writeable = False
    return tensor


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
