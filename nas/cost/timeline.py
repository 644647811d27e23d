"""An image of many networks at once, phase by phase and weight block by weight block.

Three things go on at a time: the array computes, memory loads the weights of later phases, and the
fetcher decodes the program. All times are cycles from the start, arrays of a number per network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.cost.coefficients import Coefficients
from nas.cost.cutting import Cut
from nas.cost.networks import Array
from nas.cost.phases import (
    ATTENTION,
    BLOCK_PHASES,
    FC2,
    PROJ,
    Attention,
    Phases,
    embedding_of,
    phases_of,
)
from nas.cost.sizes import Sizes
from nas.cost.weight_blocks import WeightBlocks
from rtl.config import EngineConfig
from rtl.isa.instructions import INSTRUCTION_BYTES
from rtl.timing import MemoryTiming, UnitLatencies
from rtl.timing.loads import LOAD_ROOM
from rtl.timing.port import BURST_BEATS, PROGRAM_ROOM


@dataclass(frozen=True)
class Memories:
    """The external memory, one for each network or one for all.

    Parameters
    ----------
    bytes_per_cycle, latency_cycles : (n,) or () float
    """

    bytes_per_cycle: Array
    latency_cycles: Array

    def __getitem__(self, chosen: Any) -> "Memories":
        """Those of some of the networks."""
        both = self.bytes_per_cycle, self.latency_cycles
        return Memories(*(values if values.size == 1 else values[chosen] for values in both))

    @classmethod
    def of(cls, *timings: MemoryTiming) -> "Memories":
        """One timing for all, or one for each network."""
        bandwidth = np.array([timing.bytes_per_cycle for timing in timings])
        return cls(bandwidth, np.array([float(timing.latency_cycles) for timing in timings]))


@dataclass(frozen=True, eq=False)
class Batch:
    """Networks as an engine sees them, whatever the coefficients.

    Parameters
    ----------
    sizes : Sizes
    cuts : list of Cut
        Weight blocks of all phases.
    memories : Memories
    """

    sizes: Sizes
    cuts: list[Cut]
    memories: Memories


class Loads:
    """The load unit: memory reads weight blocks in their order, and loaders write them.

    Memory is ahead of the loaders by what the buffer between them holds.

    Parameters
    ----------
    phases : Phases
    blocks : WeightBlocks
    engine : EngineConfig
    memories : Memories
    given : Coefficients

    Attributes
    ----------
    bandwidth, latency : of memory, in bytes per cycle and cycles
    reads, writes : (blocks, n) cycles of memory and of the loaders
    loaded : when the latest block was written
    """

    def __init__(
        self,
        phases: Phases,
        blocks: WeightBlocks,
        engine: EngineConfig,
        memories: Memories,
        given: Coefficients,
    ):
        beat, self.latency = engine.memory_bytes, memories.latency_cycles
        in_flight = LOAD_ROOM * beat / (self.latency + given.read)
        narrowest = np.minimum(np.minimum(memories.bytes_per_cycle, beat), in_flight)
        self.bandwidth = np.broadcast_to(narrowest, len(phases.bytes))
        total = phases.bytes + phases.program_bytes
        self.reads = blocks.shared(total / self.bandwidth[:, None])
        self.writes = blocks.shared(phases.bytes / beat)
        self.tables = np.where(phases.tables > 0, phases.tables + given.table, 0)
        interval = np.maximum(1, beat / self.bandwidth)  # of beats
        self.buffered = np.maximum(0, LOAD_ROOM * interval - self.latency)
        self.room = self.latency + given.room
        self.exists = blocks.exists
        self.read = self.loaded = np.zeros(len(phases.bytes))

    def begin(self, at: Array) -> None:
        """Everything before is read and written ``at`` these times."""
        self.read = self.loaded = at

    def block(self, place: int, there: Array) -> None:
        """Load a block, for which there is room from ``there`` on."""
        earliest = np.maximum(self.loaded - self.buffered, there + self.room)
        earliest = np.where(self.exists[place], earliest, 0)
        self.read = np.maximum(self.read, earliest) + self.reads[place]
        self.loaded = np.maximum(self.loaded + self.writes[place], self.read)

    def table(self, phase: int) -> None:
        """Load a phase's GELU table, meanwhile memory reads on."""
        self.loaded = self.loaded + self.tables[:, phase]


class Program:
    """The fetcher: instructions come through the same memory, ahead of the array by a queue."""

    def __init__(self, phases: Phases, engine: EngineConfig, loads: Loads, given: Coefficients):
        count, beats = phases.instructions, INSTRUCTION_BYTES / engine.memory_bytes
        each = beats * (loads.latency + given.program) / PROGRAM_ROOM
        each = np.broadcast_to(np.maximum(each, max(1.0, beats)), len(count))
        self.alone = count * each[:, None]
        self.most_ahead = engine.queue_depth * each
        waiting = given.contention * LOAD_ROOM / PROGRAM_ROOM * beats
        self.waits = count * (waiting * engine.memory_bytes / loads.bandwidth)[:, None]
        self.ahead = np.zeros(len(count))

    def cycles(self, phase: int, loading: Array) -> Array:
        """To decode a phase's instructions, some of whose reads wait for those of the loads.

        In ``t`` cycles the share ``loading / t`` of the reads meets loads: t = a + b·loading/t.
        """
        alone, waits = self.alone[:, phase], self.waits[:, phase]
        return (alone + np.sqrt(alone**2 + 4 * waits * loading)) / 2

    def advance(self, here: Array, time: Array, decode: Array) -> None:
        """A phase has passed: the program gained on the array, or lost."""
        ahead = np.clip(self.ahead + time - decode, 0, self.most_ahead)
        self.ahead = np.where(here, ahead, self.ahead)


class Timeline:
    """One image of each network.

    Parameters
    ----------
    batch : Batch
    latencies : UnitLatencies
    given : Coefficients
    """

    def __init__(self, batch: Batch, latencies: UnitLatencies, given: Coefficients):
        self.sizes, count = batch.sizes, len(batch.sizes.tiles)
        self.engine, self.latencies, self.given = batch.sizes.engine, latencies, given
        self.turn = latencies.matmul_finish + given.turn
        chain = latencies.matmul_finish + latencies.softmax_done + given.chain
        self.attention = Attention(self.sizes, chain, given.tail)
        self.phases = phases_of(self.sizes, batch.cuts, self.attention, self.turn + given.query)
        self.embedding = embedding_of(self.sizes)
        self.blocks = WeightBlocks.of(self.phases, self.embedding.groups, self.engine)
        self.loads = Loads(self.phases, self.blocks, self.engine, batch.memories, given)
        self.program = Program(self.phases, self.engine, self.loads, given)
        places, self.columns = len(self.blocks.share), np.arange(count)
        self.begun = np.zeros((places, count))  # when the array begins a block
        self.through = np.full((places + 1, count), -np.inf)  # the one before is done

    def cycles(self) -> Array:
        """(n,) cycles from the start to the image's end."""
        end = self._embed()
        norm_wait, norm_end = self._normalized(0, end)
        exists, loads, program = self.phases.exists, self.loads, self.program
        for phase in range(1, exists.shape[1]):
            here, before = exists[:, phase], loads.loaded
            done = self._use(phase, np.where(here, end + norm_wait, end), norm_end)
            loading = np.maximum(0, loads.loaded - np.maximum(end, before))
            decode = program.cycles(phase, loading)
            done = np.maximum(done, end + np.maximum(0, decode - program.ahead))
            time = np.where(here, done - end, 0)
            end = end + time
            program.advance(here, time, decode)
            wait, until = self._next(phase, end)
            norm_wait, norm_end = np.where(here, wait, norm_wait), np.where(here, until, norm_end)
        return end + self._store()

    # ------------------------------------------------------------ weight blocks

    def _use(self, phase: int, at: Array, norm_end: Array) -> Array:
        """When the array is through with a phase's weight blocks, which it may begin ``at``."""
        blocks, loads, places = self.blocks, self.loads, self.blocks.of_phase[phase]
        later = (self.phases.tiles[:, phase] - 1) * self.phases.tile_compute[:, phase]
        for place in places:
            loads.block(place, self._room(place))
            if place == places.start:
                loads.table(phase)
            self.begun[place] = begin = np.maximum(at, loads.loaded)
            end = begin + blocks.compute[place]
            if place == places.start:  # not before the last token tile is normalized
                end = np.maximum(end, norm_end + blocks.compute[place] - later)
            self.through[place + 1] = end
            at = end + blocks.behind[place]
        return at

    def _room(self, place: int) -> Array:
        """When there is room for a block in the ring, and its LOAD is decoded."""
        blocks, columns = self.blocks, self.columns
        room = self.through[blocks.room[place], columns]
        inside, part = blocks.decoded_in[place], blocks.decoded_at[place]
        if (inside < 0).all():
            return room
        begun, through = self.begun[inside, columns], self.through[inside + 1, columns]
        lasts = np.where(inside < 0, 0, through - begun)
        return np.maximum(room, np.where(inside < 0, 0, begun + part * lasts))

    # ------------------------------------------------------------ the embedding

    def _embed(self) -> Array:
        """When the embedding is computed. Notes when its blocks are loaded and through."""
        given, first, blocks, loads = self.given, self.embedding, self.blocks, self.loads
        places = blocks.of_phase[0]
        weights = np.maximum(loads.reads, loads.writes)[places]
        compute = blocks.compute[places] / first.groups
        others = np.maximum(first.bytes / loads.bandwidth, first.writes) / first.groups
        end, loaded = np.zeros(len(others)), 2 * loads.latency + given.start
        for group in range(int(first.groups.max())):
            here = group < first.groups
            at = np.where(first.serial & (group > 0), np.maximum(loaded, end), loaded)
            at = at + weights[0] + given.pixels * (group == 0)
            done = np.maximum(end + compute[0], self._patched(at, others, compute[0]))
            at = at + others
            for place in places[1:]:
                at = at + weights[place]
                done = np.where(blocks.exists[place], np.maximum(done, at) + compute[place], done)
            end, loaded = np.where(here, done, end), np.where(here, at, loaded)
        loads.begin(loaded)
        rest = compute[::-1].cumsum(axis=0)[::-1]  # of the last group
        self.begun[: len(places)] = end - rest
        self.through[1 : len(places) + 1] = end - rest + compute
        only, tile = blocks.part[0] == 1, self.phases.tile_compute[:, 0]
        self.embed_step = np.where(only, np.maximum(tile, others / first.tiles), tile)
        return end

    def _patched(self, at: Array, others: Array, compute: Array) -> Array:
        """When the array is through with the pixels of a group that are loaded from ``at`` on.

        A tile needs all rows of patches in which it has some.
        """
        networks, lanes, tiles = self.sizes.networks, self.engine.token_lanes, self.embedding.tiles
        patches = networks.patches / self.embedding.groups
        done = np.zeros_like(at)
        for tile in range(int(np.ceil(tiles.max()))):
            rows = np.ceil(np.minimum((tile + 1) * lanes, patches) / networks.columns)
            there = at + others * np.minimum(1, rows * networks.columns / patches)
            done = np.maximum(done, there + compute * (tiles - tile) / tiles)
        return done

    # ------------------------------------------------------------ between phases

    def _next(self, phase: int, end: Array) -> tuple[Array, Array]:
        """What the phase after waits for: cycles from ``end``, and the last LayerNorm's end."""
        if phase == self.phases.exists.shape[1] - 1:
            return np.zeros_like(end), end
        block, kind = divmod(phase - 1, BLOCK_PHASES)
        if kind in (PROJ, FC2):
            return self._normalized(phase, end)
        if kind == ATTENTION:
            items = self.sizes.query_tiles[:, block] - 1  # of a head, behind the first tile's
            return np.maximum(0, self.turn - items * self.attention.item[:, block]), end
        others = (self.phases.tiles[:, phase] - 1) * self.phases.tile_compute[:, phase]
        return np.maximum(0, self.turn - others), end

    def _normalized(self, phase: int, end: Array) -> tuple[Array, Array]:
        """Wait for the first tile's LayerNorm behind a phase, and the end of the last one's."""
        unit, tiles = self.latencies, self.phases.tiles[:, phase]
        step = self.phases.tile_compute[:, phase] if phase else self.embed_step
        pairs = np.where(tiles == 1, 1, self.sizes.pairs)
        norm = 2 * pairs * self.sizes.width_tiles * self.engine.norm_parts
        fill = unit.norm_pair + unit.norm_done + unit.matmul_finish + self.given.norm
        first = end - (tiles - 1) * step + fill + norm  # LayerNorm of the first tile
        last = np.where(norm > step, first + (tiles - 1) * norm, end + fill + norm)
        return np.maximum(0, first - end), last

    def _store(self) -> Array:
        """From the array's last cycle to the end of the image."""
        unit, engine, words = self.latencies, self.engine, self.sizes.class_tiles
        beats = engine.logit_word_bytes // engine.memory_bytes
        slower = np.maximum(1, engine.memory_bytes / self.loads.bandwidth)
        answers = -(-words * beats // BURST_BEATS)
        sent = words * (unit.store_word + beats * slower)
        answered = answers * (self.loads.latency + unit.store_answer + 2)
        return unit.matmul_finish + sent + answered + self.given.end
