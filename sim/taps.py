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

WORD_BITS = 32
CHUNK_RECORDS = 4096


@dataclass(frozen=True)
class TapRecords:
    """Records of one scratchpad, in order.

    Parameters
    ----------
    cycle : ndarray
        (records,) uint32, the clock cycle of each write.
    fields : dict of str to ndarray
        Every field of the payload by name: (records,) int64, or (records, ...) for array fields.
    """

    cycle: np.ndarray
    fields: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.cycle)


class Tap:
    """The records of one tap file, in order; they stay on disk until they are asked for.

    Parameters
    ----------
    file : Path
    layout : StructLayout
        Layout of the payload.
    """

    def __init__(self, file: Path, layout: data.StructLayout):
        words = 1 + -(-layout.size // WORD_BITS)
        records = np.memmap(file, np.uint32, "r") if file.stat().st_size else np.zeros(0, np.uint32)
        self.records = records[: len(records) // words * words].reshape(-1, words)
        self.layout = layout

    def __len__(self) -> int:
        return len(self.records)

    def beats(self, chosen: slice | np.ndarray) -> TapRecords:
        """Return the chosen records, all fields."""
        chunk = np.ascontiguousarray(self.records[chosen])
        bits = np.unpackbits(chunk[:, 1:].view(np.uint8), axis=1, bitorder="little")
        return TapRecords(chunk[:, 0], unpack(bits, self.layout))

    def column(self, name: str) -> np.ndarray:
        """Return an unsigned field of at most 32 bits, of all records: (records,) int64."""
        field = self.layout[name]
        first, shift = divmod(field.offset, WORD_BITS)
        last = (field.offset + field.width - 1) // WORD_BITS
        value = np.zeros(len(self), np.uint64)
        for index in range(first, last + 1):
            word = self.records[:, 1 + index].astype(np.uint64)
            value |= word << np.uint64(WORD_BITS * (index - first))
        return (value >> np.uint64(shift) & np.uint64((1 << field.width) - 1)).astype(np.int64)

    def chunks(self) -> Iterator[TapRecords]:
        """Yield all records, at most ``CHUNK_RECORDS`` at a time."""
        for start in range(0, len(self), CHUNK_RECORDS):
            yield self.beats(slice(start, start + CHUNK_RECORDS))


def unpack(bits: np.ndarray, layout: data.StructLayout) -> dict[str, np.ndarray]:
    """Values of every field of ``layout`` from (records, bits) of 0 and 1, lowest bit first."""
    return {
        name: _values(bits[:, field.offset : field.offset + field.width], field.shape)
        for name, field in layout
    }


def _values(bits: np.ndarray, shape: object) -> np.ndarray:
    """Return (records, width) bits as integers, or as (records, length, ...) for an array."""
    if isinstance(shape, data.ArrayLayout):
        parts = bits.reshape(len(bits) * shape.length, -1)
        inner = _values(parts, shape.elem_shape)
        return inner.reshape(len(bits), shape.length, *inner.shape[1:])
    shape = Shape.cast(shape)
    if shape.width > 63:  # memory beats: raw bytes
        return np.packbits(bits, axis=1, bitorder="little")
    values = bits @ (np.int64(1) << np.arange(shape.width, dtype=np.int64))
    return values - ((values >> (shape.width - 1)) << shape.width) if shape.signed else values
