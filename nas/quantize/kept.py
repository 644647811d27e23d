"""Blocks that are quantized already, on disk: an interrupted run goes on where it was."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nas.importer.checks import tensors
from nas.importer.network import FloatBlock, FloatNetwork
from nas.quantize.block import INPUT_OF, QuantizedBlock, real_layer
from nas.quantize.codes import CODED, BlockCodes, Code
from nas.quantize.method import Method
from nas.quantize.rounding import Rows
from rtl.files import atomic_write
from rtl.model.file import canonical_json
from rtl.model.shape import LAYERS

VERSION = 2
"""Goes up when the pipeline gives other blocks for the same inputs, or files look different."""


class KeptBlocks:
    """Blocks of one run, a file each.

    Parameters
    ----------
    folder : Path
    key : str
        Hash of everything that the run depends on: :func:`key_of`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def save(self, index: int, done: QuantizedBlock) -> None:
        """Write a block; its file appears whole or not at all."""
        found = {}
        for name, code in done.codes.tensors().items():
            found |= {f"code.{name}.scale": code.scale, f"code.{name}.zero": code.zero}
            found[f"code.{name}.limits"] = torch.tensor([code.low, code.high])
        for name, rows in done.rows.items():
            found |= {f"{name}.codes": rows.codes.to(torch.int8), f"{name}.bits": rows.bits}
            found |= {f"{name}.step": rows.step, f"{name}.bias": getattr(done.block, name).bias}
        first = done.codes.first_table_units
        found["first_table_units"] = torch.tensor([0 if first is None else first])
        with atomic_write(self._file(index)) as file:
            file.write(save({name: part.contiguous().cpu() for name, part in found.items()}))

    def load(self, index: int, block: FloatBlock) -> QuantizedBlock | None:
        """Read a block that was made of ``block``; None where there is none, or a damaged one."""
        try:
            found = load(self._file(index).read_bytes())
        except (OSError, SafetensorError):
            return None
        found = {name: part.to(block.scale1.device) for name, part in found.items()}
        codes = {
            name: Code(
                found[f"code.{name}.scale"],
                found[f"code.{name}.zero"],
                *found[f"code.{name}.limits"].tolist(),
            )
            for name in CODED
        }
        rows = {
            name: Rows(
                found[f"{name}.codes"].to(block.scale1.dtype),
                found[f"{name}.bits"],
                found[f"{name}.step"],
            )
            for name in LAYERS
        }
        layers = {
            name: real_layer(part, codes[INPUT_OF[name]], found[f"{name}.bias"])
            for name, part in rows.items()
        }
        first = int(found["first_table_units"]) or None
        return QuantizedBlock(
            replace(block, **layers), BlockCodes(**codes, first_table_units=first), rows
        )

    def clear(self) -> None:
        """Remove the files; blocks of other runs stay."""
        for file in self.folder.glob(f"{self.key[:16]}-*.safetensors"):
            file.unlink(missing_ok=True)  # another process may be doing the same
        with suppress(OSError):  # no such folder, or there is something else in it
            self.folder.rmdir()

    def _file(self, index: int) -> Path:
        return self.folder / f"{self.key[:16]}-{index}.safetensors"


def key_of(
    network: FloatNetwork, images: Tensor, method: Method, bits: Mapping[str, Tensor]
) -> str:
    """Hash everything that the blocks of a run depend on."""
    counts = {str(i): of.keep for i, of in enumerate(network.blocks) if of.keep is not None}
    given = [VERSION, asdict(method), *([counts] if counts else [])]
    digest = hashlib.sha256(canonical_json(given).encode())
    parts = [*tensors(network), ("images", images), *sorted(bits.items())]
    for name, part in parts:
        digest.update(f"{name}:{tuple(part.shape)}".encode())
        digest.update(part.contiguous().cpu().numpy().data)
    return digest.hexdigest()
