"""Compare every scratchpad write of a simulation with the golden model's tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.lib import data

from rtl.compiler import Compiled, Divergence, compare
from rtl.config import EngineConfig
from rtl.memory import ports
from sim import taps


@dataclass(frozen=True)
class Report:
    """What a comparison found.

    Parameters
    ----------
    words : int
        Words that were written and compared.
    mismatches : int
        Instructions that wrote something else than expected, in all images.
    first : str or None
        The first divergence of the first image that has one.
    """

    words: int
    mismatches: int
    first: str | None


@dataclass(frozen=True)
class Writes:
    """Writes of words to one scratchpad, in order.

    Parameters
    ----------
    numbers, banks, words : (records,)
        Instruction and place of each.
    values : (records, lanes)
    enabled : (records, lanes) bool
    """

    numbers: np.ndarray
    banks: np.ndarray
    words: np.ndarray
    values: np.ndarray
    enabled: np.ndarray

    def __getitem__(self, chosen: object) -> "Writes":
        return Writes(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @staticmethod
    def concatenate(parts: Sequence["Writes"]) -> "Writes":
        """All records of several sources, by instruction, each source's order kept."""
        names = Writes.__dataclass_fields__
        joined = Writes(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))
        return joined[np.argsort(joined.numbers, kind="stable")]


def tap_layouts(engine: EngineConfig) -> dict[str, data.StructLayout]:
    """Payload of each scratchpad's taps, by the scratchpad's name."""
    return {
        "activations": ports.activation_write(engine),
        "pixels": ports.pixel_write(engine),
        "keys": ports.key_value_write(engine, engine.row_lanes),
        "values": ports.key_value_write(engine, engine.depth_lanes),
        "scores": ports.score_write(engine),
        "residual": ports.residual_write(engine),
        "weights": ports.part_write(engine),
        "parameters": ports.part_write(engine),
        "exponents": ports.part_write(engine),
        "gelu": ports.gelu_write(engine),
    }


def check_writes(
    compiled: Compiled,
    tensors: Mapping[str, np.ndarray],
    folder: Path,
    images: int,
) -> Report:
    """Compare the tap files in ``folder`` with golden.

    Parameters
    ----------
    compiled : Compiled
    tensors : dict of str to array
        Golden's tensors, batch first.
    folder : Path
        One file per tap, ``<scratchpad>_<writer>.bin``.
    images : int
        That were run back to back.
    """
    engine = compiled.program.sizes.engine
    writes = {
        buffer: [
            _by_image(_read(file, buffer, layout, engine), images)
            for file in sorted(folder.glob(f"{buffer}*.bin"))
        ]
        for buffer, layout in tap_layouts(engine).items()
    }
    symbols = compiled.symbols()
    words = mismatches = 0
    first = None
    for image in range(images):
        of_image = {
            buffer: _by_number(Writes.concatenate([of_writer[image] for of_writer in writers]))
            for buffer, writers in writes.items()
        }
        one = {name: tensor[image] for name, tensor in tensors.items()}
        for number in range(len(compiled.program.operations)):
            divergence, count = _check_instruction(symbols, number, one, of_image)
            words += count
            if divergence:
                mismatches += 1
                first = first or f"image {image}: {divergence}"
    return Report(words, mismatches, first)


def _by_image(records: Writes, images: int) -> list[Writes]:
    """One tap's records of each image."""
    image = image_of_records(records.numbers, images)
    return [records[image == i] for i in range(images)]


def image_of_records(numbers: np.ndarray, images: int) -> np.ndarray:
    """Which image each record of one tap belongs to, by the number of its instruction.

    Two images may be in flight, but one unit's instructions stay in order: numbers rise within an
    image and fall back at the next. Where one instruction alone writes to a tap, each image has
    as many records as any other. What the engine writes too often counts to the last image.
    """
    if len(numbers) and numbers.min() == numbers.max():
        return np.arange(len(numbers)) * images // len(numbers)
    falls = np.diff(numbers, prepend=numbers[:1]) < 0
    return np.minimum(np.cumsum(falls), images - 1)


def _by_number(records: Writes) -> dict[int, Writes]:
    """Records of each instruction; they are sorted by instruction."""
    numbers, starts = np.unique(records.numbers, return_index=True)
    stops = [*starts[1:], len(records.numbers)]
    return {int(n): records[a:b] for n, a, b in zip(numbers, starts, stops, strict=True)}


def _check_instruction(
    symbols: object,
    number: int,
    tensors: Mapping[str, np.ndarray],
    writes: Mapping[str, dict[int, Writes]],
) -> tuple[Divergence | None, int]:
    """The first divergence of one instruction's writes, and the words compared."""
    expected = symbols.expected_writes(number, tensors)
    for buffer, records in writes.items():
        if number in records and (expected is None or buffer != expected.buffer):
            return Divergence(number, f"{buffer}", None, int(records[number].values[0, 0])), 0
    if expected is None:
        return None, 0
    records = writes[expected.buffer].get(number)
    if records is None:
        element = expected.element(0, int(expected.written[0].argmax()))
        return Divergence(number, element, int(expected.values[0, 0]), None), 0
    divergence = compare(expected, records.banks, records.words, records.values, records.enabled)
    return divergence, len(expected.words)


# ---------------------------------------------------------------- tap records to words


def _read(file: Path, buffer: str, layout: data.StructLayout, engine: EngineConfig) -> Writes:
    parts = [_empty(buffer, engine)]
    parts += [_words(beats, buffer, engine) for beats in taps.read(file, layout)]
    names = Writes.__dataclass_fields__
    return Writes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _empty(buffer: str, engine: EngineConfig) -> Writes:
    lanes = _lanes(buffer, engine)
    none = np.zeros(0, np.int64)
    return Writes(none, none, none, np.zeros((0, lanes), int), np.zeros((0, lanes), bool))


def _lanes(buffer: str, engine: EngineConfig) -> int:
    """Values of a word as the compiler's symbols count them."""
    return {
        "pixels": engine.depth_lanes,
        "weights": engine.weight_word_bytes,
        "parameters": engine.parameter_word_bytes,
        "exponents": engine.memory_bytes,
        "gelu": 1,
    }.get(buffer, engine.row_lanes)


def _words(beats: taps.Beats, buffer: str, engine: EngineConfig) -> Writes:
    """A beat's words as records of their own."""
    fields = beats.fields
    if buffer in ("weights", "parameters", "exponents"):
        return _part(beats, _lanes(buffer, engine), engine.memory_bytes)
    if buffer == "pixels":
        return _plain(beats, fields["lane"], fields["word"], fields["bytes"])
    if buffer == "gelu":
        return _plain(beats, fields["table"], fields["index"], fields["code"][:, None])
    name = {"scores": "scores", "residual": "values"}.get(buffer, "codes")
    values = fields[name]  # (records, tokens, row_lanes)
    tokens = values.shape[1]
    first = {"scores": 0 * fields["word"], "residual": 2 * fields.get("half", 0)}
    banks = first.get(buffer, 2 * fields.get("pair", 0))[:, None] + np.arange(tokens)
    enabled = (fields["enable"][:, None] >> np.arange(tokens) & 1).astype(bool)
    lanes = np.ones((len(beats), engine.row_lanes), bool)
    if buffer == "activations":
        mask = fields["mask"][:, None] >> np.arange(engine.granules) & 1
        lanes = mask.astype(bool).repeat(engine.depth_lanes, axis=1)
    keep = enabled.reshape(-1)
    return Writes(
        fields["number"].repeat(tokens),
        banks.reshape(-1),
        fields["word"].repeat(tokens),
        values.reshape(-1, engine.row_lanes),
        lanes.repeat(tokens, axis=0),
    )[keep]


def _plain(beats: taps.Beats, banks: np.ndarray, words: np.ndarray, values: np.ndarray) -> Writes:
    every = np.ones(values.shape, bool)
    return Writes(beats.fields["number"], banks, words, values, every)


def _part(beats: taps.Beats, word_bytes: int, beat_bytes: int) -> Writes:
    """A memory beat is a part of a word: its bytes in their place, the others not written."""
    part = beats.fields["part"][:, None]
    place = np.arange(word_bytes)[None] - part * beat_bytes
    enabled = (place >= 0) & (place < beat_bytes)
    content = _bytes_of(beats.fields["beat"], beat_bytes)
    values = np.take_along_axis(content, np.clip(place, 0, beat_bytes - 1), axis=1)
    zeros = np.zeros(len(beats), np.int64)
    return Writes(
        beats.fields["number"],
        zeros,
        beats.fields["word"],
        values.astype(np.int64),
        enabled,
    )


def _bytes_of(beat: np.ndarray, beat_bytes: int) -> np.ndarray:
    """(records, bytes) of a field that taps.unpack gave as bytes, or as numbers if it is narrow."""
    if beat.ndim == 2:
        return beat
    return beat[:, None] >> 8 * np.arange(beat_bytes) & 0xFF
