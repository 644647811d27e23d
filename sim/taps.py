"""Records of the simulation tap: every write to every scratchpad, as NumPy arrays.

The engine's tap outputs go to one binary file per scratchpad (sim/hardware/memory.sv): a record is
the cycle and the write's payload, in 32-bit words. Layouts are those of :mod:`rtl.memory.ports`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

CHUNK_RECORDS = 4096


@dataclass(frozen=True)
class Beats:
    """Some successive records of one scratchpad.

    Parameters
    ----------
    cycle : ndarray
        (records,) uint32, clock cycle of each write.
    fields : dict of str to ndarray
        A field of the payload each: (records,) int64, or (records, ...) for array fields.
    """

    cycle: np.ndarray
    fields: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.cycle)


def read(file: Path, layout: data.StructLayout) -> Iterator[Beats]:
    """Yield the records of a tap file in order, at most ``CHUNK_RECORDS`` at a time."""
    words = 1 + -(-layout.size // 32)
    records = np.memmap(file, np.uint32, "r") if file.stat().st_size else np.zeros(0, np.uint32)
    records = records[: len(records) // words * words].reshape(-1, words)
    for start in range(0, len(records), CHUNK_RECORDS):
        chunk = np.ascontiguousarray(records[start : start + CHUNK_RECORDS])
        bits = np.unpackbits(chunk[:, 1:].view(np.uint8), axis=1, bitorder="little")
        yield Beats(chunk[:, 0], unpack(bits, layout))


def unpack(bits: np.ndarray, layout: data.StructLayout) -> dict[str, np.ndarray]:
    """Values of every field of ``layout`` from (records, bits) of 0 and 1, lowest bit first."""
    return {
        name: _values(bits[:, field.offset : field.offset + field.width], field.shape)
        for name, field in layout
    }


def _values(bits: np.ndarray, shape: object) -> np.ndarray:
    """(records, width) bits as integers, or as (records, length, ...) for an array shape."""
    if isinstance(shape, data.ArrayLayout):
        parts = bits.reshape(len(bits) * shape.length, -1)
        inner = _values(parts, shape.elem_shape)
        return inner.reshape(len(bits), shape.length, *inner.shape[1:])
    shape = Shape.cast(shape)
    if shape.width > 63:  # memory beats: raw bytes
        return np.packbits(bits, axis=1, bitorder="little")
    values = bits @ (np.int64(1) << np.arange(shape.width, dtype=np.int64))
    return values - ((values >> (shape.width - 1)) << shape.width) if shape.signed else values
