"""Compare every scratchpad write of a simulation with the golden model's tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.lib import data

from rtl.compiler import Compiled, Divergence, compare
from rtl.config import EngineConfig
from rtl.isa.scratchpads import NOWHERE
from rtl.memory import ports
from sim import taps


@dataclass(frozen=True)
class WriteComparison:
    """Comparison of a simulation's writes with the golden model.

    Parameters
    ----------
    words : int
        How many words were written and compared.
    wrong_instructions : int
        Instructions, of all images, that wrote something else than expected.
    first_mismatch : str or None
        The first divergence of the first image that has one.
    """

    words: int
    wrong_instructions: int
    first_mismatch: str | None


@dataclass(frozen=True)
class Writes:
    """Writes of words to one scratchpad, in order.

    Parameters
    ----------
    numbers, banks, words : (records,)
        Instruction, bank and address of each write.
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
        """Join the records of several sources, one source after another."""
        names = Writes.__dataclass_fields__
        return Writes(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def tap_layouts(engine: EngineConfig) -> dict[str, data.StructLayout]:
    """Return the payload of each scratchpad's taps, by the scratchpad's name."""
    selection = {"importance": ports.importance_write(), "places": ports.place_write()}
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
        **(selection if engine.select_tokens else {}),
    }


def check_writes(
    compiled: Compiled,
    tensors: Mapping[str, np.ndarray],
    folder: Path,
    images: int,
) -> WriteComparison:
    """Compare the tap files in ``folder`` with golden.

    Parameters
    ----------
    compiled : Compiled
    tensors : dict of str to array
        Golden's tensors, batch first.
    folder : Path
        One file per tap, ``<scratchpad>_<writer>.bin``.
    images : int
        How many were run back to back.
    """
    engine = compiled.program.plan.engine
    sources = {
        buffer: [
            Source(taps.Tap(file, layout), buffer, engine, images)
            for file in sorted(folder.glob(f"{buffer}*.bin"))
        ]
        for buffer, layout in tap_layouts(engine).items()
    }
    symbols = compiled.symbols()
    words = wrong = 0
    first = None
    for image in range(images):
        one = {name: tensor[image] for name, tensor in tensors.items()}
        for number in range(len(compiled.program.operations)):
            written = {
                buffer: Writes.concatenate([source.writes(image, number) for source in of_buffer])
                for buffer, every in sources.items()
                if (of_buffer := [s for s in every if s.has(image, number)])
            }
            divergence, count = _check_instruction(symbols, number, one, written)
            words += count
            if divergence:
                wrong += 1
                first = first or f"image {image}: {divergence}"
    return WriteComparison(words, wrong, first)


def image_of_records(numbers: np.ndarray, images: int) -> np.ndarray:
    """Return the image that each record of one tap belongs to, by its instruction's number.

    Two images may be in flight, but one unit's instructions stay in order: numbers rise within an
    image and fall back at the next. Where one instruction alone writes to a tap, each image has
    as many records as any other. What the engine writes too often counts to the last image.
    """
    if len(numbers) and numbers.min() == numbers.max():
        return np.arange(len(numbers)) * images // len(numbers)
    falls = np.diff(numbers, prepend=numbers[:1]) < 0
    return np.minimum(np.cumsum(falls), images - 1)


def _check_instruction(
    symbols: object,
    number: int,
    tensors: Mapping[str, np.ndarray],
    written: Mapping[str, Writes],
) -> tuple[Divergence | None, int]:
    """Return the first divergence of one instruction's writes, and the words compared.

    ``written`` has the scratchpads that the instruction wrote to.
    """
    found = symbols.expected_writes(number, tensors), symbols.expected_selection(number, tensors)
    expected = {each.buffer: each for each in found if each is not None and len(each.words)}
    for buffer, records in written.items():
        if buffer not in expected:
            return Divergence(number, f"{buffer}", None, int(records.values[0, 0])), 0
    words = 0
    for buffer, each in expected.items():
        records = written.get(buffer)
        if records is None:
            element = each.element(0, int(each.written[0].argmax()))
            return Divergence(number, element, int(each.values[0, 0]), None), words
        found = compare(each, records.banks, records.words, records.values, records.enabled)
        if found:
            return found, words
        words += len(each.words)
    return None, words


# ---------------------------------------------------------------- tap records to words


class Source:
    """The writes that one tap saw, by image and instruction, read when they are asked for.

    Parameters
    ----------
    tap : Tap
    buffer : str
        The scratchpad.
    engine : EngineConfig
    images : int
    """

    def __init__(self, tap: taps.Tap, buffer: str, engine: EngineConfig, images: int):
        self.tap = tap
        self.buffer = buffer
        self.engine = engine
        numbers = tap.column("number")
        image = image_of_records(numbers, images)
        self.order = np.lexsort((numbers, image))
        keys = np.stack([image, numbers])[:, self.order]
        begins = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=-1), axis=0))
        stops = [*begins[1:], len(numbers)][: len(begins)]  # none where nothing was written
        places = zip(*keys[:, begins].tolist(), strict=True)
        self.parts = dict(zip(places, zip(begins, stops, strict=True), strict=True))

    def has(self, image: int, number: int) -> bool:
        """Tell whether the instruction wrote here."""
        return (image, number) in self.parts

    def writes(self, image: int, number: int) -> Writes:
        """Return one instruction's writes, in the order in which they happened."""
        chosen = self.order[slice(*self.parts[image, number])]
        return _words(self.tap.beats(chosen), self.buffer, self.engine)


def _lanes(buffer: str, engine: EngineConfig) -> int:
    """Return the number of values in a word, as the compiler's symbols count them."""
    return {
        "pixels": engine.depth_lanes,
        "weights": engine.weight_word_bytes,
        "parameters": engine.parameter_word_bytes,
        "exponents": engine.memory_bytes,
        "gelu": 1,
    }.get(buffer, engine.row_lanes)


def _words(beats: taps.TapRecords, buffer: str, engine: EngineConfig) -> Writes:
    """Return the words of each record as records of their own."""
    fields = beats.fields
    if buffer in ("weights", "parameters", "exponents"):
        return _part(beats, _lanes(buffer, engine), engine.memory_bytes)
    if buffer == "pixels":
        return _plain(beats, fields["lane"], fields["word"], fields["bytes"])
    if buffer == "gelu":
        return _plain(beats, fields["table"], fields["index"], fields["code"][:, None])
    if buffer in ("importance", "places"):
        values = fields["scores"] if buffer == "importance" else _places(fields)
        return _plain(beats, np.zeros(len(beats), np.int64), fields["word"], values)
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


def _plain(
    beats: taps.TapRecords, banks: np.ndarray, words: np.ndarray, values: np.ndarray
) -> Writes:
    every = np.ones(values.shape, bool)
    return Writes(beats.fields["number"], banks, words, values, every)


def _part(beats: taps.TapRecords, word_bytes: int, beat_bytes: int) -> Writes:
    """Return words of which one part is written, the bytes of a memory beat."""
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


def _places(fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return (records, 4): the places of two tokens, the first one's index, the words down."""
    layout = ports.PairPlace.as_shape()
    kept, index, down = (
        fields["place"] >> layout[name].offset & ((1 << layout[name].width) - 1)
        for name in ("kept", "index", "down")
    )
    stays, first = (kept & 1 != 0, kept & 2 != 0), fields["first"]
    places = np.where(stays, [first, first + stays[0]], NOWHERE)
    return np.stack([*places, index, down], axis=1)


def _bytes_of(beat: np.ndarray, beat_bytes: int) -> np.ndarray:
    """Return (records, bytes) of a field, which taps.unpack gives as numbers if it is narrow."""
    if beat.ndim == 2:
        return beat
    return beat[:, None] >> 8 * np.arange(beat_bytes) & 0xFF
