"""From instructions and scratchpad addresses back to tensors, tokens and rows.

:meth:`Symbols.expected_writes` says what an instruction must write, in which words of which banks,
given golden's tensors; :func:`rtl.compiler.divergence.compare` finds the first element that
differs and names it. The places of tokens' words are those of the instruction set's reference,
:func:`rtl.isa.scratchpads.written_words`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rtl.compiler.divergence import UNKNOWN, Expected
from rtl.compiler.image import position_words
from rtl.compiler.matrices import padded_head_rows, row_map
from rtl.compiler.operations import Operation, Program, Subject
from rtl.compiler.selection import (
    compacted_words,
    tokens_of_image,
    written_importance,
    written_places,
)
from rtl.isa.instructions import Destination, Instruction, Opcode, Target
from rtl.isa.scratchpads import TokenWords, activation_mask, written_words


def symbol_table(program: Program) -> list[dict[str, Any]]:
    """Describe each instruction by one JSON object: number, opcode, tensor, tokens, row tiles."""
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


class Symbols:
    """Expected writes of every instruction of a program.

    Parameters
    ----------
    program : Program
    region : bytes
        Content of the MODEL region.
    position : (tokens, width) int16
        The model's position tensor.
    """

    def __init__(self, program: Program, region: bytes, position: np.ndarray):
        self.program = program
        self.plan = program.plan
        self.engine = program.plan.engine
        self.region = np.frombuffer(region, np.uint8)
        self.position = position_words(position, self.plan)

    def expected_writes(self, number: int, tensors: Mapping[str, np.ndarray]) -> Expected | None:
        """Expected writes of instruction ``number``; None if it writes no scratchpad.

        Parameters
        ----------
        number : int
        tensors : dict of str to array
            Golden's tensors of one image: shapes of docs/numerics.md section 8.

        Raises
        ------
        KeyError
            If ``tensors`` lacks what the instruction computes.
        """
        operation = self.program.operations[number]
        if operation.opcode is Opcode.LOAD:
            return self._load(number, operation, tensors)
        if operation.opcode is Opcode.NORM:
            columns = np.full(operation.operands["row_words"] * self.engine.row_lanes, UNKNOWN)
            columns[: self.plan.shape.width] = np.arange(self.plan.shape.width)
            return self._computed(number, operation, tensors, columns)
        if operation.opcode is Opcode.SOFTMAX:
            columns = np.arange(operation.operands["key_words"] * self.engine.row_lanes)
            columns = np.where(columns < operation.operands["keys"], columns, UNKNOWN)
            expected = self._computed(number, operation, tensors, columns)
            expected.known[:] = True  # padded keys have weight 0
            return expected
        if operation.opcode is Opcode.MATMUL:
            return self._computed(number, operation, tensors, self._matmul_columns(operation))
        return None

    def expected_selection(self, number: int, tensors: Mapping[str, np.ndarray]) -> Expected | None:
        """Importance or places that instruction ``number`` must write besides; else None.

        Parameters as of :meth:`expected_writes`.
        """
        operation = self.program.operations[number]
        if operation.opcode is Opcode.SELECT:
            return written_places(number, operation, tensors)
        if operation.operands.get("importance", 0):
            return written_importance(number, operation, self.plan, tensors)
        return None

    # ------------------------------------------------------------ matmul, norm, softmax

    def _computed(
        self, number: int, operation: Operation, tensors: Mapping, columns: np.ndarray
    ) -> Expected:
        """Expected words of the instruction's tokens; ``columns`` are those of a token's words."""
        instruction = Instruction(operation.opcode, operation.operands)
        tokens, place = self._places(instruction, operation.subject, tensors)
        lanes = self.engine.row_lanes
        count = len(columns) // lanes
        values = self._values(operation.subject, tokens, tensors, columns)
        of_image = tokens_of_image(self.plan.shape, operation.subject.tensor, tensors)[tokens]
        written = np.ones((count, lanes), bool)
        if place.buffer == "activations":
            values &= (1 << self.engine.act_bits) - 1
            if operation.opcode is Opcode.MATMUL:
                written = activation_mask(instruction, self.engine)
        rows = np.tile(columns.reshape(-1, lanes), (len(tokens), 1))
        written = np.tile(written, (len(tokens), 1))
        used = written.any(1)
        return Expected(
            number=number,
            buffer=place.buffer,
            tensor=operation.subject.tensor,
            head=operation.subject.head,
            banks=place.banks.reshape(-1)[used],
            words=place.words.reshape(-1)[used],
            values=values.reshape(-1, lanes)[used],
            written=written[used],
            known=(written & (rows >= 0))[used],
            tokens=tokens.repeat(count)[used],
            columns=rows[used],
            of_image=of_image.repeat(count)[used],
        )

    def _places(
        self, instruction: Instruction, subject: Subject, tensors: Mapping
    ) -> tuple[np.ndarray, TokenWords]:
        """Tokens that an instruction writes, counted as in its tensor, and their words."""
        if instruction["destination"] == Destination.KEPT:
            kept = tensors[f"blocks.{subject.block}.kept"]
            tokens = self.plan.tokens_in(subject.block)
            return compacted_words(instruction, self.engine, kept, tokens)
        return np.array(subject.tile.tokens), written_words(instruction, self.engine)

    def _matmul_columns(self, operation: Operation) -> np.ndarray:
        """Column of the tensor for each row of the instruction's row tiles.

        Where these hold the tokens' indices, it is unknown: no tensor has them, but the output.
        """
        subject, lanes = operation.subject, self.engine.row_lanes
        count = operation.operands["row_tiles"] * lanes
        if subject.kind == "scores":
            keys = np.arange(count)
            return np.where(keys < operation.operands["keys"], keys, UNKNOWN)
        if subject.kind == "context":
            inner = self.plan.shape.blocks[subject.block].heads * self.plan.shape.head_dim
            rows = padded_head_rows(self.plan, inner)
            columns = np.full((subject.row_tile * lanes) + count + rows.max(), UNKNOWN)
            columns[rows] = np.arange(inner)
        else:
            columns = row_map(self.plan, self.plan.all_layers[subject.layer])
        return columns[subject.row_tile * lanes :][:count]

    def _values(
        self, subject: Subject, tokens: np.ndarray, tensors: Mapping, columns: np.ndarray
    ) -> np.ndarray:
        """(tokens, columns) of the subject's tensor."""
        tensor = np.asarray(tensors[subject.tensor], np.int64)
        if subject.kind in ("scores", "softmax"):
            tensor = tensor[subject.head]
        if tensor.ndim == 1:
            tensor = tensor[None]
        if len(tensor) == 1:  # only what the head works on
            tokens = tokens - tokens[0]
        return np.where(columns >= 0, tensor[tokens[:, None], columns], 0)

    # ------------------------------------------------------------ load

    def _load(self, number: int, operation: Operation, tensors: Mapping) -> Expected:
        operands, target = operation.operands, Target(operation.operands["target"])
        if target in (Target.PIXELS, Target.RESIDUAL):
            place = written_words(Instruction(operation.opcode, operands), self.engine)
            if target is Target.PIXELS:
                return self._pixels(number, operation, place, tensors)
            return self._preload(number, operation, place)
        word_bytes = {
            Target.WEIGHTS: self.engine.weight_word_bytes,
            Target.PARAMETERS: self.engine.parameter_word_bytes,
            Target.EXPONENTS: self.engine.exponent_word_bytes,
            Target.GELU: 1,
        }[target]
        data = self.region[operands["offset"] :][: operands["bytes"]].reshape(-1, word_bytes)
        words = operands["destination"] + np.arange(len(data))
        bank = 0
        if target is Target.GELU:
            bank, words = operands["destination"], words - operands["destination"]
        return _constants(number, operation, np.full(len(data), bank), words, data)

    def _preload(self, number: int, operation: Operation, place: TokenWords) -> Expected:
        tokens = np.array(operation.subject.tile.tokens)
        values = self.position[tokens].reshape(-1, self.engine.row_lanes)
        banks, words = place.banks.reshape(-1), place.words.reshape(-1)
        return _constants(number, operation, banks, words, values, "residual")

    def _pixels(
        self, number: int, operation: Operation, place: TokenWords, tensors: Mapping
    ) -> Expected:
        plan = self.plan
        segments, depth = len(place.banks), self.engine.depth_lanes
        first = operation.subject.row_tile * segments
        pixels = np.asarray(tensors["pixels"])[first : first + segments]
        rows = np.arange(plan.shape.patch_values).reshape(-1, plan.segment_bytes)
        columns = np.full((len(rows), plan.patch_row_words * depth), UNKNOWN)
        columns[:, : plan.segment_bytes] = rows
        columns = np.tile(columns.reshape(-1, depth), (segments, 1))
        tokens = np.arange(first, first + segments).repeat(plan.patch_words)
        values = np.where(columns >= 0, pixels[tokens[:, None] - first, columns], 0)
        return Expected(
            number=number,
            buffer=place.buffer,
            tensor="pixels",
            head=-1,
            banks=place.banks.reshape(-1),
            words=place.words.reshape(-1),
            values=values.astype(np.int64),
            written=np.ones(values.shape, bool),
            known=columns >= 0,
            tokens=tokens,
            columns=columns,
        )


def _constants(
    number: int,
    operation: Operation,
    banks: np.ndarray,
    words: np.ndarray,
    values: np.ndarray,
    buffer: str = "",
) -> Expected:
    """Expected bytes of constants; ``buffer`` is the tensor's name unless it is given."""
    every = np.ones(values.shape, bool)
    return Expected(
        number=number,
        buffer=buffer or operation.subject.tensor,
        tensor=operation.subject.tensor,
        head=-1,
        banks=banks,
        words=words,
        values=values.astype(np.int64),
        written=every,
        known=every,
        tokens=np.full(len(words), UNKNOWN),
        columns=np.full(values.shape, UNKNOWN),
    )
