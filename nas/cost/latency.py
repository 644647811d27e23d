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
from rtl.compiler import MemoryTiming, UnitLatencies
from rtl.compiler.loads import LOAD_ROOM
from rtl.compiler.port import BURST_BEATS, PROGRAM_ROOM
from rtl.compiler.prefetch import QUEUE_RESERVE
from rtl.config import EngineConfig
from rtl.control.isa import INSTRUCTION_BYTES

PRIOR = 0.002  # weight of a coefficient's distance from its default, in a fit of relative errors
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
    ring : float
        Part of the weight ring by which the loads can lead, but for
    block : float
        so much of the weight blocks that are in use and that follow.
    contention : float
        Part of the loads' reads in flight that an instruction's read waits for.
    """

    start: float = 60.0
    pixels: float = 20.0
    chain: float = 14.0
    norm: float = 12.0
    turn: float = 8.0
    query: float = 10.0
    end: float = 15.0
    table: float = 0.0
    read: float = 10.0
    program: float = 12.0
    ring: float = 0.9
    block: float = 0.5
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
    start=60, pixels=20, chain=10, norm=10, turn=10, query=10, end=10, table=20, read=10,
    program=10, ring=0.1, block=0.1, contention=0.1,
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
        return _Timeline(self, networks, memories).cycles()

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

        positive = [field.name in ("ring", "block", "contention") for field in fields(Coefficients)]
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
        self.attention = Attention(sizes, unit.matmul_finish + unit.softmax_done + given.chain)
        self.phases = phases_of(sizes, self.attention, self.turn + given.query)
        self.embedding = embedding_of(sizes)
        self._fetch()
        self._program()

    # ------------------------------------------------------------ what memory delivers

    def _fetch(self) -> None:
        """Cycles of each phase's loads, and how far they can run ahead of the array."""
        phases, given, engine = self.phases, self.coefficients, self.engine
        bandwidth = np.broadcast_to(self.bandwidth, len(phases.bytes))[:, None]
        tables = phases.tables + np.where(phases.tables > 0, given.table, 0)
        reads = (phases.bytes + phases.program_bytes) / bandwidth
        writes = phases.bytes / engine.memory_bytes + tables
        groups, first = self.embedding.groups, self.embedding
        reads[:, 0] *= groups
        writes[:, 0] *= groups
        self.embed_weights = np.maximum(reads[:, 0], writes[:, 0])
        self.embed_others = np.maximum(first.bytes / bandwidth[:, 0], first.writes)
        reads[:, 0] += first.bytes / bandwidth[:, 0]
        writes[:, 0] += first.writes
        done = self._in_turn(reads, writes)
        self.fetch = np.diff(done, axis=1, prepend=0)
        self.tables = tables
        ring_bytes = engine.weight_words * engine.weight_word_bytes
        used = self.fetch / np.maximum(phases.weight_blocks, 1)
        following = np.pad(used[:, 1:], ((0, 0), (0, 1)))
        # The block in use takes room, and the one that follows must fit as a whole.
        ring = given.ring * ring_bytes / bandwidth - given.block * (used + following)
        self.lead_limit = np.maximum(0, np.minimum(ring, self._queued(done) - done))

    def _in_turn(self, reads: Array, writes: Array) -> Array:
        """When each phase's loads are written; memory is ahead by what the buffer holds."""
        interval = np.maximum(1, self.engine.memory_bytes / self.bandwidth)
        buffer = np.maximum(0, LOAD_ROOM - self.latency / interval)
        done = np.empty_like(reads)
        read = written = np.zeros(len(reads))
        for phase in range(reads.shape[1]):
            read = np.maximum(read, written - buffer) + reads[:, phase]
            done[:, phase] = written = np.maximum(written + writes[:, phase], read)
        return done

    def _queued(self, done: Array) -> Array:
        """When all loads are there that the queues let be decoded at the end of each phase.

        The program is decoded as far as the matmul unit's queue has room, and LOADs ahead of
        their use as far as that of the load unit has.
        """
        phases, depth = self.phases, self.engine.queue_depth
        loads = phases.loads.copy()
        loads[:, 0] = 0
        matmuls = _rising(phases.matmuls)
        loads = _rising(loads)
        decoded = _interpolate(np.minimum(matmuls + depth, matmuls[:, -1:]), matmuls, loads)
        return _interpolate(np.minimum(decoded + depth - QUEUE_RESERVE, loads[:, -1:]), loads, done)

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
        end, fetched = self._embed()
        norm_wait, norm_end = self._normalized(0, end)
        lead = np.clip(end - fetched, 0, self.lead_limit[:, 0])
        ahead = np.zeros_like(end)  # of the program
        exists, phases = self.phases.exists, self.phases
        for phase in range(1, exists.shape[1]):
            here, compute = exists[:, phase], phases.compute[:, phase]
            later = (phases.tiles[:, phase] - 1) * phases.tile_compute[:, phase]
            done = np.maximum(end + norm_wait + compute, norm_end + compute - later)
            done = np.maximum(done, end + self._loaded(phase, lead))
            decode = self._decoded(phase, lead)
            done = np.maximum(done, end + np.maximum(0, decode - ahead))
            time = np.where(here, done - end, 0)
            end = end + time
            spent = np.where(here, self.fetch[:, phase], 0)
            limit = np.where(here, self.lead_limit[:, phase], np.inf)
            lead = np.clip(lead + time - spent, 0, limit)
            ahead = np.where(here, np.clip(ahead + time - decode, 0, self.decode_ahead), ahead)
            wait, until = self._next(phase, end)
            norm_wait, norm_end = np.where(here, wait, norm_wait), np.where(here, until, norm_end)
        return end + self._store()

    def _embed(self) -> tuple[Array, Array]:
        """When the embedding is computed, and when its loads were done."""
        given, first, phases = self.coefficients, self.embedding, self.phases
        blocks, tiles = phases.weight_blocks[:, 0], first.tiles
        weights = self.embed_weights / first.groups / blocks  # of one weight block and group
        others = self.embed_others / first.groups
        tile = phases.compute[:, 0] / np.maximum(self.sizes.patch_tiles, 1) / blocks
        start = 2 * self.latency + given.start
        begin = start + weights + given.pixels
        more = (blocks - 1) * tiles * tile  # of all weight blocks but the first
        end = loaded = np.zeros(len(tile))
        for group in range(int(first.groups.max())):
            here = group < first.groups
            at = begin + group * (others + weights * blocks)
            at = np.where(first.serial & (group > 0), np.maximum(at, end), at)
            one = np.maximum(
                at + others + tile, np.maximum(end, at + others / tiles) + tiles * tile
            )
            second = at + others + weights + more
            last = at + others + (blocks - 1) * weights + tiles * tile
            done = np.maximum(one + more, np.where(blocks > 1, np.maximum(second, last), 0))
            end = np.where(here, done, end)
            loaded = np.where(here, at + others + (blocks - 1) * weights, loaded)
        return end, np.maximum(loaded, start + self.embed_weights + self.embed_others)

    def _loaded(self, phase: int, lead: Array) -> Array:
        """Cycles of a phase whose first, or last, weight block the array waits for."""
        blocks, compute = self.phases.weight_blocks[:, phase], self.phases.compute[:, phase]
        fetch, table = self.fetch[:, phase], self.tables[:, phase]
        first = (fetch - table) / blocks + table
        return np.maximum(
            np.where(first > lead, first - lead + compute, 0),
            np.where(fetch > lead, fetch - lead + compute / blocks, 0),
        )

    def _decoded(self, phase: int, lead: Array) -> Array:
        """Cycles of a phase's instructions, some of whose reads wait for those of the loads.

        In ``t`` cycles the share ``missing / t`` of the reads meets loads: t = a + b·missing/t.
        """
        alone, waits = self.decode[:, phase], self.decode_waits[:, phase]
        missing = np.maximum(0, self.fetch[:, phase] - lead)
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
        step = self.phases.tile_compute[:, phase]
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


def _rising(values: Array) -> Array:
    """Cumulative sums along the phases that rise strictly, as an interpolation wants them."""
    return (values + 1e-9).cumsum(axis=1)


def _interpolate(at: Array, positions: Array, values: Array) -> Array:
    """``np.interp`` row by row, all (n, phases); ``at`` within each row's positions."""
    step = positions[:, -1].max() + 1
    rows = np.arange(len(positions))[:, None] * step
    flat = np.interp((at + rows).ravel(), (positions + rows).ravel(), values.ravel())
    return flat.reshape(at.shape)
