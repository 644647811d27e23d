"""Cycles of many networks at once: the vectorised latency model of a search.

The exact model, :mod:`rtl.compiler.timing`, simulates a program's instructions one by one. This one
goes phase by phase (:mod:`nas.cost.phases`) and asks of each what it waits for:

- the array, whose cycles are exact;
- the loads: memory runs ahead of the array, as far as the weight ring and the queues let it; the
  *lead* that it gathers in easy phases it spends in hard ones;
- the program, whose instructions come through the same memory;
- the LayerNorm before, tile by tile.

What is left, pipelines that fill and drain at each turn, is in a handful of coefficients
(:class:`Coefficients`). ``python -m nas.calibrate`` fits them to the exact model and holds both
models against the RTL.
"""

from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from nas.cost.networks import Array, Networks
from nas.cost.phases import (
    ATTENTION,
    BLOCK_PHASES,
    FC2,
    PROJ,
    Attention,
    embedding_of,
    phases_of,
)
from nas.cost.sizes import Sizes
from nas.cost.weight_blocks import WeightBlocks
from rtl.compiler import MemoryTiming, UnitLatencies
from rtl.compiler.loads import LOAD_ROOM
from rtl.compiler.port import BURST_BEATS, PROGRAM_ROOM
from rtl.config import EngineConfig
from rtl.control.isa import INSTRUCTION_BYTES

PRIOR = 0.002  # weight of a coefficient's distance from its default, in a fit of relative errors
BATCH = 2048  # networks whose arrays fit a processor's cache
ROBUST = 0.01  # relative errors beyond this count linearly in a fit


@dataclass(frozen=True)
class Coefficients:
    """What the structure leaves open; cycles unless said. The defaults are first guesses.

    Parameters
    ----------
    start : float
        From the start to the first LOAD's data, beyond two latencies of the memory.
    pixels : float
        From the first weights to the first pixels' use.
    chain : float
        From scores over softmax to the context, beyond the units' own latencies.
    tail : float
        The same of a block's first and last item, where softmax decides.
    norm : float
        From a matrix to LayerNorm to the next matrix, beyond the units' own latencies.
    turn : float
        From a matrix to one that needs its result, beyond the drain.
    query : float
        From the class token's queries to its scores, beyond a turn.
    end : float
        From the last logits to the image's end, beyond the STORE.
    table : float
        Of a GELU table's load, beyond a cycle per entry.
    read : float
        Of a read beyond the memory's latency, where reads in flight limit the bandwidth.
    program : float
        The same for the program's.
    room : float
        From a weight block's last use to the first data of what takes its place, beyond the
        memory's latency.
    contention : float
        Part of the loads' reads in flight that an instruction's read waits for.
    """

    start: float = 16.0
    pixels: float = 15.0
    chain: float = 10.0
    tail: float = 40.0
    norm: float = 15.0
    turn: float = 13.0
    query: float = 12.0
    end: float = 14.0
    table: float = 18.0
    read: float = 10.0
    program: float = 12.0
    room: float = 37.0
    contention: float = 1.0

    def to_json(self) -> dict[str, float]:
        """By name, four digits behind the point."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, float]) -> "Coefficients":
        """From a dictionary; ``ValueError`` names what is missing or unknown."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(f"coefficients {sorted(set(values) ^ names)}")
        return cls(**values)


STEPS = Coefficients(  # in which a fit measures its way
    start=60, pixels=20, chain=10, tail=10, norm=10, turn=10, query=10, end=10, table=20, read=10,
    program=10, room=10, contention=0.1,
)  # fmt: skip


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


@dataclass(frozen=True)
class LatencyModel:
    """Cycles of networks on one engine.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
        Of this engine: :func:`rtl.compiler.latencies.unit_latencies`.
    coefficients : Coefficients
    """

    engine: EngineConfig
    latencies: UnitLatencies
    coefficients: Coefficients = Coefficients()

    def cycles(self, networks: Networks, memories: Memories) -> Array:
        """(n,) cycles of one image from start to end; limits of the engine are not checked."""
        starts = range(0, len(networks), BATCH)
        parts = [slice(start, start + BATCH) for start in starts]
        cycles = [_Timeline(self, networks[part], memories[part]).cycles() for part in parts]
        return np.concatenate(cycles)

    def fitted(self, networks: Networks, memories: Memories, cycles: Array) -> "LatencyModel":
        """The same model with coefficients of least relative error.

        Parameters
        ----------
        networks, memories
            What was measured.
        cycles : (n,) float
            Of an image, by the exact model or on the RTL.
        """
        start, steps = np.array(astuple(self.coefficients)), np.array(astuple(STEPS))

        def model(position: Array) -> LatencyModel:
            values = (float(value) for value in start + position * steps)
            return LatencyModel(self.engine, self.latencies, Coefficients(*values))

        def errors(position: Array) -> Array:
            relative = model(position).cycles(networks, memories) / cycles - 1
            return np.append(relative, PRIOR * position)

        positive = [field.name == "contention" for field in fields(Coefficients)]
        lowest = np.where(positive, -start / steps, -np.inf)
        found = least_squares(
            errors,
            np.zeros(len(start)),
            bounds=(lowest, np.inf),
            loss="soft_l1",
            f_scale=ROBUST,
            diff_step=0.02,
        )
        return model(found.x)


class _Timeline:
    """One image of each network, phase by phase; times in cycles from the start, all (n,)."""

    def __init__(self, model: LatencyModel, networks: Networks, memories: Memories):
        engine, self.latencies = model.engine, model.latencies
        self.engine, self.coefficients = engine, model.coefficients
        given, unit = model.coefficients, model.latencies
        self.latency = memories.latency_cycles
        beat = engine.memory_bytes
        in_flight = LOAD_ROOM * beat / (self.latency + given.read)
        self.bandwidth = np.minimum(np.minimum(memories.bytes_per_cycle, beat), in_flight)
        self.sizes = sizes = Sizes(networks, engine)
        self.turn = unit.matmul_finish + given.turn
        chain = unit.matmul_finish + unit.softmax_done + given.chain
        self.attention = Attention(sizes, chain, given.tail)
        self.phases = phases_of(sizes, self.attention, self.turn + given.query)
        self.embedding = embedding_of(sizes)
        self.blocks = WeightBlocks.of(self.phases, self.embedding.groups, engine)
        self._fetch()
        self._program()

    # ------------------------------------------------------------ what memory delivers

    def _fetch(self) -> None:
        """Cycles of the loads, by phase and by weight block."""
        phases, given, engine = self.phases, self.coefficients, self.engine
        bandwidth = np.broadcast_to(self.bandwidth, len(phases.bytes))[:, None]
        reads = (phases.bytes + phases.program_bytes) / bandwidth
        writes = phases.bytes / engine.memory_bytes
        first = self.embedding
        self.embed_weights = np.maximum(reads[:, 0], writes[:, 0]) * first.groups
        self.embed_others = np.maximum(first.bytes / bandwidth[:, 0], first.writes)
        self.reads, self.writes = (self.blocks.shared(values) for values in (reads, writes))
        self.tables = np.where(phases.tables > 0, phases.tables + given.table, 0)
        interval = np.maximum(1, engine.memory_bytes / self.bandwidth)
        self.buffered = np.maximum(0, LOAD_ROOM * interval - self.latency)

    def _program(self) -> None:
        """Cycles of each phase's instructions: alone, and what the loads' reads add."""
        engine, given = self.engine, self.coefficients
        count, beats = self.phases.instructions, INSTRUCTION_BYTES / engine.memory_bytes
        each = beats * (self.latency + given.program) / PROGRAM_ROOM
        each = np.broadcast_to(np.maximum(each, max(1.0, beats)), len(count))
        self.decode = count * each[:, None]
        self.decode_ahead = engine.queue_depth * each
        waiting = given.contention * LOAD_ROOM / PROGRAM_ROOM * beats
        self.decode_waits = count * (waiting * engine.memory_bytes / self.bandwidth)[..., None]

    # ------------------------------------------------------------ phase by phase

    def cycles(self) -> Array:
        end = self._begin()
        norm_wait, norm_end = self._normalized(0, end)
        ahead = np.zeros_like(end)  # of the program
        exists = self.phases.exists
        for phase in range(1, exists.shape[1]):
            here, before = exists[:, phase], self.loaded
            done = self._used(phase, np.where(here, end + norm_wait, end), norm_end)
            decode = self._decoded(phase, np.clip(self.loaded - np.maximum(end, before), 0, None))
            done = np.maximum(done, end + np.maximum(0, decode - ahead))
            time = np.where(here, done - end, 0)
            end = end + time
            ahead = np.where(here, np.clip(ahead + time - decode, 0, self.decode_ahead), ahead)
            wait, until = self._next(phase, end)
            norm_wait, norm_end = np.where(here, wait, norm_wait), np.where(here, until, norm_end)
        return end + self._store()

    def _begin(self) -> Array:
        """The end of the embedding; when its weight blocks were begun and through."""
        end, self.read = self._embed()
        self.loaded = self.read
        blocks, columns = self.blocks, np.arange(len(end))
        self.columns = columns
        self.late = (blocks.decoded_in >= 0).any(axis=1)
        self.begun = np.zeros((len(blocks.share), len(end)))
        self.through = np.full((len(blocks.share) + 1, len(end)), -np.inf)
        places = list(blocks.of_phase[0])
        compute = blocks.compute[places] / self.embedding.groups
        rest = compute[::-1].cumsum(axis=0)[::-1]
        self.begun[places] = end - rest
        self.through[1:][places] = end - rest + compute
        return end

    def _used(self, phase: int, at: Array, norm_end: Array) -> Array:
        """When the array is through with a phase's weight blocks, which it may begin ``at``."""
        blocks, columns, phases = self.blocks, self.columns, self.phases
        later = (phases.tiles[:, phase] - 1) * phases.tile_compute[:, phase]
        wait = self.latency + self.coefficients.room
        for place in blocks.of_phase[phase]:
            there = self.through[blocks.room[place], columns]  # room in the ring
            if self.late[place]:
                there = np.maximum(there, self._decoded_by(place))
            read = np.maximum(self.loaded - self.buffered, there + wait)
            self.read = (
                np.maximum(self.read, np.where(blocks.exists[place], read, 0)) + self.reads[place]
            )
            self.loaded = np.maximum(self.loaded + self.writes[place], self.read)
            if place == blocks.of_phase[phase].start:
                self.loaded = self.loaded + self.tables[:, phase]
            self.begun[place] = begin = np.maximum(at, self.loaded)
            end = begin + blocks.compute[place]
            if place == blocks.of_phase[phase].start:
                end = np.maximum(end, norm_end + blocks.compute[place] - later)
            self.through[place + 1] = end
            at = end + blocks.behind[place]
        return at

    def _decoded_by(self, place: int) -> Array:
        """When a weight block's LOAD is decoded."""
        inside, part = self.blocks.decoded_in[place], self.blocks.decoded_at[place]
        begun, through = self.begun[inside, self.columns], self.through[inside + 1, self.columns]
        return np.where(inside < 0, 0, begun + part * np.where(inside < 0, 0, through - begun))

    def _embed(self) -> tuple[Array, Array]:
        """When the embedding is computed, and when its loads were done."""
        given, first, blocks = self.coefficients, self.embedding, self.blocks
        places = blocks.of_phase[0]
        weights = np.maximum(self.reads, self.writes)[places]
        compute = blocks.compute[places] / first.groups
        others, tiles = self.embed_others / first.groups, first.tiles
        loaded = start = 2 * self.latency + given.start
        end = np.zeros(len(tiles))
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
        only, tile = blocks.part[0] == 1, self.phases.tile_compute[:, 0]
        self.embed_step = np.where(only, np.maximum(tile, others / tiles), tile)
        return end, np.maximum(loaded, start + self.embed_weights + self.embed_others)

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

    def _decoded(self, phase: int, missing: Array) -> Array:
        """Cycles of a phase's instructions, some of whose reads wait for those of the loads.

        In ``t`` cycles the share ``missing / t`` of the reads meets loads: t = a + b·missing/t.
        """
        alone, waits = self.decode[:, phase], self.decode_waits[:, phase]
        return (alone + np.sqrt(alone**2 + 4 * waits * missing)) / 2

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
        fill = unit.norm_pair + unit.norm_done + unit.matmul_finish + self.coefficients.norm
        first = end - (tiles - 1) * step + fill + norm  # LayerNorm of the first tile
        last = np.where(norm > step, first + (tiles - 1) * norm, end + fill + norm)
        return np.maximum(0, first - end), last

    def _store(self) -> Array:
        """From the array's last cycle to the end of the image."""
        unit, engine, words = self.latencies, self.engine, self.sizes.class_tiles
        beats = engine.logit_word_bytes // engine.memory_bytes
        slower = np.maximum(1, engine.memory_bytes / self.bandwidth)
        answers = -(-words * beats // BURST_BEATS)
        sent = words * (unit.store_word + beats * slower)
        answered = answers * (self.latency + unit.store_answer + 2)
        return unit.matmul_finish + sent + answered + self.coefficients.end
