"""From instructions and scratchpad addresses back to tensors, tokens and rows.

:func:`expected_writes` says what an instruction must write, in which words of which banks, given
golden's tensors; :func:`compare` finds the first element that differs and names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtl.compiler.image import layers_by_name, position_words
from rtl.compiler.operations import Operation, Program
from rtl.compiler.padding import padded_head_rows, row_map
from rtl.control.isa import Destination, Opcode, Target

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Expected:
    """All words that an instruction writes, in any order.

    Parameters
    ----------
    number : int
        Of the instruction.
    buffer : str
        ``activations``, ``pixels``, ``keys``, ``values``, ``scores``, ``residual``, ``weights``,
        ``parameters``, ``exponents`` or ``gelu``; the last four are given as bytes.
    tensor : str
        Name of docs/numerics.md section 8, or what the LOAD fetches.
    head : int
        Attention head, or -1.
    banks, words : (n,)
        Where. The GELU table counts as bank, a code as word.
    values : (n, lanes) int64
        Activations raw, that is, unsigned; all others signed where their code is.
    written : (n, lanes) bool
        Lanes that are written (an activation word may be written in part).
    known : (n, lanes) bool
        Lanes whose value is specified; padding is not.
    tokens : (n,)
        Token, UNKNOWN for constants.
    columns : (n, lanes)
        Row, channel or key of the tensor, UNKNOWN for padding and constants.
    """

    number: int
    buffer: str
    tensor: str
    head: int
    banks: np.ndarray
    words: np.ndarray
    values: np.ndarray
    written: np.ndarray
    known: np.ndarray
    tokens: np.ndarray
    columns: np.ndarray

    def element(self, index: int, lane: int) -> str:
        """Name of one element, such as ``blocks.0.scores[head 1, token 5, 17]``."""
        place = f"{self.buffer} bank {self.banks[index]} word {self.words[index]} lane {lane}"
        token, column = self.tokens[index], self.columns[index, lane]
        if token == UNKNOWN:
            return f"{self.tensor} ({place})"
        head = f"head {self.head}, " if self.head >= 0 else ""
        row = "padding" if column == UNKNOWN else str(column)
        return f"{self.tensor}[{head}token {token}, {row}] ({place})"


@dataclass(frozen=True)
class Divergence:
    """The first element in which an engine differs."""

    number: int
    element: str
    expected: int | None
    got: int | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"instruction {self.number}: unexpected write of {self.got} to {self.element}"
        got = "was not written" if self.got is None else f"is {self.got}"
        return f"instruction {self.number}: {self.element} {got}, expected {self.expected}"


def symbol_table(program: Program) -> list[dict[str, Any]]:
    """Per instruction what it is about, for files and humans."""
    return [_symbol(i, operation) for i, operation in enumerate(program.operations)]


def _symbol(number: int, operation: Operation) -> dict[str, Any]:
    subject = operation.subject
    symbol: dict[str, Any] = {
        "instruction": number,
        "opcode": operation.opcode.name,
        "kind": subject.kind,
        "tensor": subject.tensor,
    }
    if subject.tile is not None:
        tokens = subject.tile.tokens
        symbol["tokens"] = [tokens.start, tokens.stop]
    if subject.head >= 0:
        symbol["head"] = subject.head
    if operation.run is not None:
        symbol["row_tiles"] = [operation.run.first, operation.run.first + operation.run.count]
    return symbol


def compare(
    expected: Expected,
    banks: np.ndarray,
    words: np.ndarray,
    values: np.ndarray,
    enabled: np.ndarray,
) -> Divergence | None:
    """The first difference between what must be written and what was.

    Parameters
    ----------
    expected : Expected
    banks, words : (records,)
        Where the engine wrote, in its order; a word may be written in several parts.
    values : (records, lanes)
    enabled : (records, lanes) bool
        Lanes that a record writes.
    """
    order = np.argsort(_keys(expected.banks, expected.words), kind="stable")
    keys = _keys(expected.banks, expected.words)[order]
    got = _keys(banks, words)
    found = np.minimum(np.searchsorted(keys, got), len(keys) - 1)
    index = np.where(keys[found] == got, order[found], UNKNOWN)
    allowed = expected.written[index] & (index != UNKNOWN)[:, None]
    wrong = enabled & (~allowed | (expected.known[index] & (expected.values[index] != values)))
    if wrong.any():
        record, lane = np.argwhere(wrong)[0].tolist()
        got_value = int(values[record, lane])
        if allowed[record, lane]:
            return _difference(expected, int(index[record]), lane, got_value)
        place = f"{expected.buffer} bank {banks[record]} word {words[record]} lane {lane}"
        return Divergence(expected.number, place, None, got_value)
    seen = np.zeros(expected.written.shape, bool)
    np.logical_or.at(seen, index, enabled)
    for i, lane in np.argwhere(expected.written & ~seen)[:1].tolist():
        return _difference(expected, i, lane, None)
    return None


def _keys(banks: np.ndarray, words: np.ndarray) -> np.ndarray:
    return np.asarray(banks, np.int64) << 32 | np.asarray(words, np.int64)


def _difference(expected: Expected, index: int, lane: int, got: int | None) -> Divergence:
    value = int(expected.values[index, lane])
    return Divergence(expected.number, expected.element(index, lane), value, got)


class Symbols:
    """What every instruction of a program must write.

    Parameters
    ----------
    program : Program
    region : bytes
        Content of the MODEL region.
    position : (tokens, width) int16
        Of the model.
    """

    def __init__(self, program: Program, region: bytes, position: np.ndarray):
        self.program = program
        self.sizes = program.sizes
        self.engine = program.sizes.engine
        self.region = np.frombuffer(region, np.uint8)
        self.position = position_words(position, self.sizes)
        self.layers = layers_by_name(self.sizes)

    def expected_writes(self, number: int, tensors: Mapping[str, np.ndarray]) -> Expected | None:
        """What instruction ``number`` writes; None if that is not to a scratchpad.

        Parameters
        ----------
        number : int
        tensors : dict of str to array
            Golden's tensors of one picture: shapes of docs/numerics.md section 8.
        """
        operation = self.program.operations[number]
        if operation.opcode is Opcode.LOAD:
            return self._load(number, operation, tensors)
        if operation.opcode is Opcode.NORM:
            columns = _padded(np.arange(self.sizes.shape.width), self._lanes_of(operation))
            return self._activations(number, operation, tensors, columns)
        if operation.opcode is Opcode.SOFTMAX:
            columns = np.arange(self.sizes.key_tiles * self.engine.row_lanes)
            columns = np.where(columns < self.sizes.tokens, columns, UNKNOWN)
            expected = self._activations(number, operation, tensors, columns)
            expected.known[:] = True  # padded keys have weight 0
            return expected
        if operation.opcode is Opcode.MATMUL:
            return self._matmul(number, operation, tensors)
        return None

    # ------------------------------------------------------------ matmul, norm, softmax

    def _matmul(self, number: int, operation: Operation, tensors: Mapping) -> Expected:
        columns = self._matmul_columns(operation)
        destination = Destination(operation.operands["destination"])
        if destination is Destination.ACTIVATIONS:
            return self._activations(number, operation, tensors, columns)
        banks, groups = {
            Destination.KEYS: (self.engine.row_lanes, 0),
            Destination.VALUES: (self.engine.depth_lanes, 0),
            Destination.RESIDUAL: (4, 0),
            Destination.SCORES: (4, 1),
        }[destination]
        return self._by_group(
            number, operation, tensors, columns, destination.name.lower(), banks, bool(groups)
        )

    def _matmul_columns(self, operation: Operation) -> np.ndarray:
        """Column of the tensor for each row of the instruction's row tiles."""
        subject, lanes = operation.subject, self.engine.row_lanes
        count = operation.operands["row_tiles"] * lanes
        if subject.kind == "scores":
            keys = np.arange(count)
            return np.where(keys < self.sizes.tokens, keys, UNKNOWN)
        if subject.kind == "context":
            inner = self.sizes.shape.blocks[subject.block].heads * self.sizes.shape.head_dim
            rows = padded_head_rows(self.sizes, inner)
            columns = np.full((subject.row_tile * lanes) + count + rows.max(), UNKNOWN)
            columns[rows] = np.arange(inner)
        else:
            columns = row_map(self.sizes, self.layers[subject.layer])
        return columns[subject.row_tile * lanes :][:count]

    def _lanes_of(self, operation: Operation) -> int:
        return operation.operands["row_words"] * self.engine.row_lanes

    def _values(self, operation: Operation, tensors: Mapping, columns: np.ndarray) -> np.ndarray:
        """(tokens of the instruction, columns) of its tensor."""
        subject = operation.subject
        tensor = np.asarray(tensors[subject.tensor], np.int64)
        if subject.kind in ("scores", "softmax"):
            tensor = tensor[subject.head]
        if tensor.ndim == 1:
            tensor = tensor[None]
        tokens = np.array(subject.tile.tokens)
        if len(tensor) == 1:  # only the class token
            tokens = tokens - tokens[0]
        return np.where(columns >= 0, tensor[tokens[:, None], columns], 0)

    def _activations(
        self, number: int, operation: Operation, tensors: Mapping, columns: np.ndarray
    ) -> Expected:
        operands, tile, lanes = operation.operands, operation.subject.tile, self.engine.row_lanes
        row_words = len(columns) // lanes
        values = self._values(operation, tensors, columns) & ((1 << self.engine.act_bits) - 1)
        granule = np.arange(len(columns)) // self.engine.depth_lanes
        first = operands.get("mask_first", 0)
        written = granule >= first
        written &= granule < first + operands.get("mask_count", len(columns))
        return self._words(
            number, operation, "activations", columns, values, written,
            np.arange(tile.lane_first, tile.lane_first + tile.lane_count).repeat(row_words),
            np.tile(operands["destination_address"] + np.arange(row_words), tile.lane_count),
        )  # fmt: skip

    def _by_group(
        self,
        number: int,
        operation: Operation,
        tensors: Mapping,
        columns: np.ndarray,
        buffer: str,
        banks: int,
        by_lane: bool,
    ) -> Expected:
        """Words at destination_address + row tile + stride * group; a group fills all banks."""
        operands, tile = operation.operands, operation.subject.tile
        tokens = np.array(tile.tokens)
        place = tokens - tile.token if by_lane else tokens
        start = 0 if by_lane else tile.token // banks
        groups = place // banks - start
        row_words = len(columns) // self.engine.row_lanes
        words = operands["destination_address"] + groups * operands["destination_stride"]
        return self._words(
            number, operation, buffer, columns, self._values(operation, tensors, columns),
            np.ones(len(columns), bool),
            (place % banks).repeat(row_words),
            (words[:, None] + np.arange(row_words)).reshape(-1),
        )  # fmt: skip

    def _words(
        self,
        number: int,
        operation: Operation,
        buffer: str,
        columns: np.ndarray,
        values: np.ndarray,
        written: np.ndarray,
        banks: np.ndarray,
        words: np.ndarray,
    ) -> Expected:
        """Cut (tokens, columns) into words."""
        tokens = np.array(operation.subject.tile.tokens)
        lanes = self.engine.row_lanes
        rows = np.tile(columns.reshape(-1, lanes), (len(tokens), 1))
        written = np.tile(written.reshape(-1, lanes), (len(tokens), 1))
        used = written.any(1)
        return Expected(
            number, buffer, operation.subject.tensor, operation.subject.head,
            banks[used], words[used], values.reshape(-1, lanes)[used], written[used],
            (written & (rows >= 0))[used],
            tokens.repeat(len(columns) // lanes)[used], rows[used],
        )  # fmt: skip

    # ------------------------------------------------------------ load

    def _load(self, number: int, operation: Operation, tensors: Mapping) -> Expected:
        operands, target = operation.operands, Target(operation.operands["target"])
        if target is Target.PIXELS:
            return self._pixels(number, operation, tensors)
        if target is Target.RESIDUAL:
            return self._preload(number, operation)
        word_bytes = {
            Target.WEIGHTS: self.engine.weight_word_bytes,
            Target.PARAMETERS: self.engine.parameter_word_bytes,
            Target.EXPONENTS: self.sizes.exponent_word_bytes,
            Target.GELU: 1,
        }[target]
        data = self.region[operands["offset"] :][: operands["bytes"]].reshape(-1, word_bytes)
        words = operands["destination"] + np.arange(len(data))
        bank = 0
        if target is Target.GELU:
            bank, words = operands["destination"], words - operands["destination"]
        return _constants(number, operation, np.full(len(data), bank), words, data)

    def _preload(self, number: int, operation: Operation) -> Expected:
        tokens = np.array(operation.subject.tile.tokens)
        values = self.position[tokens].reshape(-1, self.engine.row_lanes)
        row_words = operation.operands["row_words"]
        groups = tokens // 4 - tokens[0] // 4
        words = operation.operands["destination"] + groups * operation.operands["stride"]
        banks = (tokens % 4).repeat(row_words)
        words = (words[:, None] + np.arange(row_words)).reshape(-1)
        return _constants(number, operation, banks, words, values, "residual")

    def _pixels(self, number: int, operation: Operation, tensors: Mapping) -> Expected:
        operands, sizes = operation.operands, self.sizes
        segments, depth = operands["segments"], self.engine.depth_lanes
        first = operation.subject.row_tile * segments
        pixels = np.asarray(tensors["pixels"])[first : first + segments]
        rows = np.arange(sizes.shape.patch_values).reshape(-1, sizes.segment_bytes)
        columns = np.full((len(rows), sizes.patch_row_words * depth), UNKNOWN)
        columns[:, : sizes.segment_bytes] = rows
        columns = np.tile(columns.reshape(-1, depth), (segments, 1))
        crossings, lanes = np.divmod(
            operands["lane_first"] + np.arange(segments), self.engine.token_lanes
        )
        words = operands["destination"] + crossings * operands["stride"]
        words = (words[:, None] + np.arange(sizes.patch_words)).reshape(-1)
        tokens = np.arange(first, first + segments).repeat(sizes.patch_words)
        values = np.where(columns >= 0, pixels[tokens[:, None] - first, columns], 0)
        return Expected(
            number, "pixels", "pixels", -1, lanes.repeat(sizes.patch_words), words,
            values.astype(np.int64), np.ones(values.shape, bool), columns >= 0, tokens, columns,
        )  # fmt: skip


def _constants(
    number: int,
    operation: Operation,
    banks: np.ndarray,
    words: np.ndarray,
    values: np.ndarray,
    buffer: str = "",
) -> Expected:
    every = np.ones(values.shape, bool)
    return Expected(
        number, buffer or operation.subject.tensor, operation.subject.tensor, -1, banks, words,
        values.astype(np.int64), every, every, np.full(len(words), UNKNOWN),
        np.full(values.shape, UNKNOWN),
    )  # fmt: skip


def _padded(columns: np.ndarray, length: int) -> np.ndarray:
    return np.pad(columns, (0, length - len(columns)), constant_values=UNKNOWN)
