"""Requests for constants and pixels: each becomes one to three LOADs.

Lowering lists computing operations, each with its requests; :mod:`rtl.compiler.prefetch` places
their LOADs. A request that was placed becomes a :class:`Resident`, which has the addresses and
completes the operations that need them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

from rtl.compiler.allocator import Allocator, Ring
from rtl.compiler.operations import Chunk, MemorySpace, Operation, Span, Subject
from rtl.compiler.runs import RowRun
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TokenTile
from rtl.isa.instructions import Base, Opcode, Target


@dataclass(frozen=True, eq=False)
class Resident:
    """A request that was placed in the scratchpads.

    Parameters
    ----------
    loads : sequence of Operation
        LOADs that fill the place.
    """

    loads: Sequence[Operation]

    def complete(self, operation: Operation) -> Operation:
        """Add the operands and reads that depend on the place; by default none do."""
        return operation


class Request(ABC):
    """Something that must be loaded before its users, and may be overwritten after them."""

    loads = 1  # instructions, at most

    def rings(self, pads: Allocator) -> list[tuple[Ring, int]]:
        """Rings in which it takes words, and how many; by default none."""
        return []

    def fits(self, pads: Allocator) -> bool:
        """Whether its place in the scratchpads is free at this point of the program."""
        return all(ring.fits(words) for ring, words in self.rings(pads))

    @abstractmethod
    def place(self, pads: Allocator) -> Resident:
        """Take the place."""

    def release(self, pads: Allocator) -> None:
        """Give the place back; by default nobody else wants it."""
        return


class Pending(NamedTuple):
    """A computing operation before the places of its constants are known.

    Parameters
    ----------
    operation : Operation
    requests : tuple of Request
        Constants and pixels that must have been loaded before it.
    """

    operation: Operation
    requests: tuple[Request, ...] = ()


def load(
    target: Target,
    chunk: Chunk,
    span: Span,
    tile: TokenTile | None = None,
    **operands: int,
) -> Operation:
    """A LOAD of a whole chunk of constants; more operands as given."""
    values = {
        "target": target,
        "base": Base.MODEL,
        "offset": chunk.offset,
        "bytes": chunk.bytes,
        "destination": span.start,
        **operands,
    }
    subject = Subject("load", chunk.content, chunk.parts[0][0], tile=tile)
    return Operation(Opcode.LOAD, values, (), (span,), subject)


# ---------------------------------------------------------------- weights


@dataclass(frozen=True, eq=False)
class WeightBlock(Request):
    """Row tiles that are resident together, with their parameters.

    Parameters
    ----------
    runs : sequence of RowRun
    weights, parameters : Chunk
        Their constants.
    """

    loads = 3  # parameters; weights, in two parts at the end of the ring

    runs: Sequence[RowRun]
    weights: Chunk
    parameters: Chunk

    @cached_property
    def words(self) -> int:
        """Words of the weight ring."""
        return sum(run.words for run in self.runs)

    @cached_property
    def row_tiles(self) -> int:
        return sum(run.count for run in self.runs)

    def again(self) -> "WeightBlock":
        """The same constants, to be loaded once more."""
        return replace(self)

    def rings(self, pads: Allocator) -> list[tuple[Ring, int]]:
        return [(pads.weights, self.words), (pads.parameters, self.row_tiles)]

    def place(self, pads: Allocator) -> "ResidentBlock":
        address = pads.weights.take(self.words, self)
        parameter_address = pads.parameters.take(self.row_tiles, self)
        parameters = _parameter_span(parameter_address, self.row_tiles)
        loads = [load(Target.PARAMETERS, self.parameters, parameters)]
        # One LOAD of weights, or two where the block goes over the end of the ring.
        word_bytes, done = pads.plan.engine.weight_word_bytes, 0
        for span in _ring_spans(address, self.words, pads.weights.words):
            size_bytes = (span.stop - span.start) * word_bytes
            part = self.weights._replace(offset=self.weights.offset + done, bytes=size_bytes)
            loads.append(load(Target.WEIGHTS, part, span))
            done += size_bytes
        return ResidentBlock(loads, address, parameter_address, pads.weights.words)

    def release(self, pads: Allocator) -> None:
        pads.weights.release(self)
        pads.parameters.release(self)


@dataclass(frozen=True, eq=False)
class ResidentBlock(Resident):
    """A weight block in the rings.

    Parameters
    ----------
    loads : sequence of Operation
    address, parameter_address : int
        First word in the ring of weights and in that of parameters.
    ring_words : int
        Size of the ring of weights.
    """

    address: int
    parameter_address: int
    ring_words: int
    _of_runs: dict[RowRun, tuple[dict[str, int], tuple[Span, ...]]] = field(default_factory=dict)

    def complete(self, operation: Operation) -> Operation:
        opcode, operands, reads, writes, subject, run = operation
        assert run is not None
        found = self._of_runs.get(run)
        if found is None:  # once for all token tiles
            found = self._of_runs[run] = self._of_run(run)
        return Operation(opcode, {**operands, **found[0]}, reads + found[1], writes, subject, run)

    def _of_run(self, run: RowRun) -> tuple[dict[str, int], tuple[Span, ...]]:
        """Operands and reads of a MATMUL by one of the block's runs."""
        address = (self.address + run.word) % self.ring_words
        parameters = self.parameter_address + run.parameter
        operands = {"weight_address": address, "parameter_address": parameters}
        weights = _ring_spans(address, run.words, self.ring_words)
        return operands, (*weights, _parameter_span(parameters, run.count))


def _parameter_span(address: int, count: int) -> Span:
    return Span(MemorySpace.PARAMETERS, address, address + count)


def _ring_spans(address: int, words: int, ring_words: int) -> list[Span]:
    """The one or two address ranges of ``words`` ring words from ``address``."""
    stop = address + words
    if stop <= ring_words:
        return [Span(MemorySpace.WEIGHTS, address, stop)]
    return [
        Span(MemorySpace.WEIGHTS, address, ring_words),
        Span(MemorySpace.WEIGHTS, 0, stop - ring_words),
    ]


# ---------------------------------------------------------------- other constants in rings


@dataclass(frozen=True, eq=False)
class RingRequest(Request):
    """A chunk in consecutive words of a ring, whose first one its users must know.

    ``target``, ``space`` and ``operand`` are constants of each kind.

    Parameters
    ----------
    chunk : Chunk
    words : int
        Words of the scratchpad.
    """

    target: ClassVar[Target]
    space: ClassVar[MemorySpace]
    operand: ClassVar[str]
    """The users' operand that takes the address."""

    chunk: Chunk
    words: int

    @abstractmethod
    def ring(self, pads: Allocator) -> Ring:
        """The ring of the scratchpad."""

    def rings(self, pads: Allocator) -> list[tuple[Ring, int]]:
        return [(self.ring(pads), self.words)]

    def place(self, pads: Allocator) -> "ResidentChunk":
        address = self.ring(pads).take(self.words, self)
        span = Span(self.space, address, address + self.words)
        return ResidentChunk([load(self.target, self.chunk, span)], self.operand, span)

    def release(self, pads: Allocator) -> None:
        self.ring(pads).release(self)


@dataclass(frozen=True, eq=False)
class ResidentChunk(Resident):
    """A chunk in a ring.

    Parameters
    ----------
    loads : sequence of Operation
    operand : str
        The operand of its users that takes the address.
    span : Span
    """

    operand: str
    span: Span

    def complete(self, operation: Operation) -> Operation:
        opcode, operands, reads, writes, subject, run = operation
        operands = {**operands, self.operand: self.span.start}
        return Operation(opcode, operands, (*reads, self.span), writes, subject, run)


class RowParameters(RingRequest):
    """Row parameters, a word per row tile, of a product whose weights are on the chip already."""

    target = Target.PARAMETERS
    space = MemorySpace.PARAMETERS
    operand = "parameter_address"

    def ring(self, pads: Allocator) -> Ring:
        return pads.parameters


class Exponents(RingRequest):
    """Channel exponents of a LayerNorm."""

    target = Target.EXPONENTS
    space = MemorySpace.EXPONENTS
    operand = "exponent_address"

    def ring(self, pads: Allocator) -> Ring:
        return pads.exponents


# ---------------------------------------------------------------- places by rule


@dataclass(frozen=True, eq=False)
class GeluRequest(Request):
    """A GELU table, into place 0 or 1 as ``table`` says."""

    chunk: Chunk
    table: int

    @property
    def span(self) -> Span:
        return Span(MemorySpace.GELU, self.table, self.table + 1)

    def fits(self, pads: Allocator) -> bool:
        return pads.gelu[self.table] is None

    def place(self, pads: Allocator) -> Resident:
        pads.gelu[self.table] = self
        return Resident([load(Target.GELU, self.chunk, self.span)])

    def release(self, pads: Allocator) -> None:
        pads.gelu[self.table] = None


@dataclass(frozen=True, eq=False)
class PositionRequest(Request):
    """The position tensor of one token tile, into the residual stream.

    Parameters
    ----------
    chunk : Chunk
        The positions of all tokens.
    tile : TokenTile
    """

    chunk: Chunk
    tile: TokenTile

    def place(self, pads: Allocator) -> Resident:
        plan, tile = pads.plan, self.tile
        part = self.chunk._replace(
            offset=self.chunk.offset + tile.token * plan.token_bytes,
            bytes=tile.lane_count * plan.token_bytes,
        )
        operation = load(
            Target.RESIDUAL,
            part,
            Span(MemorySpace.RESIDUAL, tile.token, tile.token + tile.lane_count),
            tile,
            destination=plan.residual_word(tile.token),
            stride=plan.token_words,
            token=tile.token,
            row_words=plan.token_words,
        )
        return Resident([operation])


@dataclass(frozen=True, eq=False)
class StripRequest(Request):
    """A strip of the image: all patches of one row of patches.

    Parameters
    ----------
    index : int
        Number of the strip, from the top.
    tiles : range
        Token tiles of its patches.
    first_place : int
        Place of the first tile in the pixel banks. The others follow, because a LOAD goes from
        one to the next by a constant step.
    plan : Plan
    """

    index: int
    tiles: range
    first_place: int
    plan: Plan

    @cached_property
    def places(self) -> dict[int, int]:
        """Token tile by place."""
        return {self.first_place + i: tile for i, tile in enumerate(self.tiles)}

    def fits(self, pads: Allocator) -> bool:
        """Each tile's place is free, or the strip before has begun to fill it for this tile."""
        users = (pads.pixels.get(place, (tile, set())) for place, tile in self.places.items())
        return all(
            owner == tile or not strips
            for (owner, strips), tile in zip(users, self.tiles, strict=True)
        )

    def place(self, pads: Allocator) -> Resident:
        for place, tile in self.places.items():
            owner, strips = pads.pixels.get(place, (tile, set()))
            pads.pixels[place] = (tile, strips | {self} if owner == tile else {self})
        plan, shape = self.plan, self.plan.shape
        strip_bytes = shape.patch * shape.image[1] * shape.image[2]
        first = self.first_place * plan.patch_words
        operands = {
            "target": Target.PIXELS,
            "base": Base.IMAGE,
            "offset": self.index * strip_bytes,
            "bytes": strip_bytes,
            "destination": first,
            "stride": plan.patch_words,
            "lane_first": self.index * shape.grid[1] % plan.engine.token_lanes,
            "segment_bytes": plan.segment_bytes,
            "segments": shape.grid[1],
        }
        span = Span(MemorySpace.PIXELS, first, first + len(self.tiles) * plan.patch_words)
        subject = Subject("load", "pixels", "", row_tile=self.index)
        return Resident([Operation(Opcode.LOAD, operands, (), (span,), subject)])

    def release(self, pads: Allocator) -> None:
        for place in self.places:
            pads.pixels[place][1].discard(self)
