"""Files in a folder of the transformers library: configuration, weights, image processor.

The library itself is not needed: https://huggingface.co/docs/transformers says what the files hold.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.importer.weights import read_tensors
from rtl.errors import UserError

CONFIG, PROCESSOR, CARD = "config.json", "preprocessor_config.json", "README.md"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in this order; each may be in parts
INDEX = ".index.json"
OTHERS = ("tf_model.h5", "flax_model.msgpack")  # weights of other frameworks


@dataclass(frozen=True)
class TransformersFolder:
    """A folder as ``save_pretrained`` writes it, or as a hub has it.

    Parameters
    ----------
    path : Path
    checkpoint : Path, optional
        Weights from elsewhere.
    """

    path: Path
    checkpoint: Path | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's configuration."""
        return read_json(self.path / CONFIG)

    @cached_property
    def processor(self) -> dict[str, Any] | None:
        """The configuration of the image processor, if there is one."""
        path = self.path / PROCESSOR
        return read_json(path) if path.is_file() else None

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files of the weights; several where they are in parts.

        Raises
        ------
        UserError
            If there are none, or a part is missing.
        """
        if self.checkpoint:
            return (self.checkpoint,)
        for name in WEIGHTS:
            if (self.path / name).is_file():
                return (self.path / name,)
            if (index := self.path / f"{name}{INDEX}").is_file():
                return self._parts(index)
        other = next((name for name in OTHERS if (self.path / name).is_file()), None)
        beside = f", but {other}, of another framework" if other else ""
        raise UserError(
            f"{self.path}: no weights in it (model.safetensors or pytorch_model.bin){beside}: give"
            " --checkpoint FILE"
        )

    def _parts(self, index: Path) -> tuple[Path, ...]:
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise UserError(f"{index}: has no 'weight_map'")
        names = sorted({Path(str(name)).name for name in places.values()})
        parts = tuple(index.with_name(name) for name in names)
        for part in parts:
            if not part.is_file():
                raise UserError(
                    f"{part}: no such file, one of the {len(parts)} that {index.name} names"
                )
        return parts

    def tensors(self) -> dict[str, Tensor]:
        """Read all weights by name."""
        found: dict[str, Tensor] = {}
        for file in self.files:
            found |= read_tensors(file)
        return found

    def sha256(self) -> str:
        """Hash the weights; parts one behind the other."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @property
    def license(self) -> str | None:
        """The licence that the model's card states."""
        try:
            card = (self.path / CARD).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        head = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
        stated = re.search(r"^license:\s*(\S+)", head[1], re.MULTILINE) if head else None
        return stated[1] if stated else None


def is_of_transformers(path: Path) -> bool:
    """Whether a folder's configuration is one of the transformers library, and none of timm's."""
    if not (path / CONFIG).is_file():
        return False
    config = read_json(path / CONFIG)
    return "model_type" in config and "architecture" not in config


def read_json(path: Path) -> dict[str, Any]:
    """Read an object.

    Raises
    ------
    UserError
        If the file cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read: {reason}") from None
    if not isinstance(found, Mapping):
        raise UserError(f"{path}: holds no object")
    return dict(found)
