"""Cycles of a program: an event simulation of its instructions.

Each unit takes its instructions in order from its queue, as soon as the fetcher has put them
there and the semaphores allow. Instructions are visited in program order, which is enough: all
that one waits for comes before it. What an instruction takes is a formula of its operands, with
the constants of :class:`UnitLatencies`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rtl.compiler.limits import check
from rtl.compiler.lowering import lower
from rtl.compiler.operations import Operation, Program
from rtl.config import EngineConfig
from rtl.control.isa import (
    INSTRUCTION_BYTES,
    UNITS,
    Activations,
    Destination,
    Opcode,
    Target,
    Unit,
    Weights,
)
from rtl.shape import NetworkShape


@dataclass(frozen=True)
class MemoryTiming:
    """The external memory as the engine sees it.

    Parameters
    ----------
    bytes_per_cycle : float
        Sustained, reads and writes together.
    latency_cycles : int
        From a read's address to its first data.
    """

    bytes_per_cycle: float = 16.0
    latency_cycles: int = 100


@dataclass(frozen=True)
class UnitLatencies:
    """Pipeline constants in cycles.

    Parameters
    ----------
    fetch : int
        From start to the first request for instructions.
    instruction : int
        Between two instructions that the fetcher hands out, at least.
    dispatch : int
        From the fetcher to the start in an idle unit.
    signal : int
        From the last write of an instruction to the start of one that waits for it.
    gap : int
        Between the end of a unit's instruction and the next one's first cycle.
    matmul_fill : int
        From the feed's last request of a row tile to the drain's first beat.
    drain_tail : int
        From the drain's last beat to its write.
    norm_scalar : int
        Between the passes: sums, reciprocal square root of the first token.
    norm_token : int
        Each further token on the scalar path.
    norm_fill : int
        From the last request of pass 2 to its write.
    softmax_fill : int
        From the last score of a lane to the end of its scale.
    load_tail : int
        From the last beat of memory to the last write.
    load_overlaps : bool
        Whether the reads of a LOAD are requested while the one before still arrives.
    store_tail : int
        From the last word to the response of memory.
    end : int
        From the last unit's idleness to ``done``.
    """

    fetch: int = 4
    instruction: int = 2
    dispatch: int = 3
    signal: int = 2
    gap: int = 2
    matmul_fill: int = 12
    drain_tail: int = 8
    norm_scalar: int = 40
    norm_token: int = 6
    norm_fill: int = 8
    softmax_fill: int = 30
    load_tail: int = 4
    load_overlaps: bool = True
    store_tail: int = 20
    end: int = 4


@dataclass(frozen=True)
class Prediction:
    """What :func:`simulate` finds.

    Parameters
    ----------
    cycles : int
        From start to done, one picture.
    starts, ends : list of float
        Per instruction; 0 for BEGIN, END.
    busy : dict of Unit to float
        Cycles in which a unit works.
    by_kind : dict of str to float
        Cycles of the matmul unit by kind of layer.
    bytes : int
        Read and written, instructions included.
    """

    cycles: int
    starts: list[float]
    ends: list[float]
    busy: dict[Unit, float]
    by_kind: dict[str, float] = field(default_factory=dict)
    bytes: int = 0


def predict(
    shape: NetworkShape,
    engine: EngineConfig,
    memory: MemoryTiming = MemoryTiming(),
    latencies: UnitLatencies = UnitLatencies(),
) -> Prediction:
    """Cycles of a network on an engine, without weights.

    Raises
    ------
    UserError
        If the engine cannot run the network.
    """
    return simulate(lower(check(shape, engine)), memory, latencies)


def simulate(
    program: Program,
    memory: MemoryTiming = MemoryTiming(),
    latencies: UnitLatencies = UnitLatencies(),
) -> Prediction:
    """Cycles of a program; its operations must be synchronised."""
    return _Simulation(program, memory, latencies).result()


class _Simulation:
    def __init__(self, program: Program, memory: MemoryTiming, latencies: UnitLatencies):
        self.engine = program.sizes.engine
        self.program = program
        self.memory = memory
        self.latencies = latencies
        self.free = [0.0] * UNITS  # when a unit can take its next instruction
        self.last_word = 0.0  # of the latest row tile, in the feed
        self.last_beats = 0  # that its drain takes
        self.port = 0.0  # memory is busy until then
        self.fetch_debt = 0  # bytes of instructions that delay the next transfer
        self.busy: Counter[Unit] = Counter()
        self.by_kind: Counter[str] = Counter()
        self.bytes = 0
        self.starts: list[float] = []
        self.ends: list[float] = []
        self._run(program.operations)

    def result(self) -> Prediction:
        cycles = round(max(self.ends) + self.latencies.end)
        total = self.bytes + self.program.program_bytes
        return Prediction(
            cycles, self.starts, self.ends, dict(self.busy), dict(self.by_kind), total
        )

    def _run(self, operations: Sequence[Operation]) -> None:
        latencies = self.latencies
        execute = {
            Opcode.LOAD: self._load,
            Opcode.MATMUL: self._matmul,
            Opcode.NORM: self._norm,
            Opcode.SOFTMAX: self._softmax,
            Opcode.STORE: self._store,
        }
        step = max(latencies.instruction, INSTRUCTION_BYTES / self.memory.bytes_per_cycle)
        clock = latencies.fetch + self.memory.latency_cycles
        queued: list[list[float]] = [[] for _ in range(UNITS)]  # starts of a unit's instructions
        raised: list[list[list[float]]] = [[[] for _ in range(UNITS)] for _ in range(UNITS)]
        taken = [[0] * UNITS for _ in range(UNITS)]
        depth = self.engine.queue_depth
        for operation in operations:
            clock += step
            self.fetch_debt += INSTRUCTION_BYTES
            unit = operation.unit
            if unit is None:
                self.starts.append(0.0)
                self.ends.append(0.0)
                continue
            before = queued[unit]
            if len(before) >= depth:
                clock = max(clock, before[-depth])
            start = max(clock + latencies.dispatch, self.free[unit])
            if operation.wait:
                for producer in range(UNITS):
                    if operation.wait >> producer & 1:
                        at = raised[producer][unit][taken[producer][unit]]
                        taken[producer][unit] += 1
                        start = max(start, at + latencies.signal)
            before.append(start)
            end = execute[operation.opcode](operation, start)
            self.starts.append(start)
            self.ends.append(end)
            self.busy[unit] += self.free[unit] - start
            if operation.signal:
                for consumer in range(UNITS):
                    if operation.signal >> consumer & 1:
                        raised[unit][consumer].append(end)

    # ------------------------------------------------------------ one instruction: end of its work

    def _matmul(self, operation: Operation, start: float) -> float:
        """Feed a row tile in its passes while the one before drains, whichever takes longer."""
        operands, latencies = operation.operands, self.latencies
        words, row_tiles = operands["depth_words"], operands["row_tiles"]
        narrow, wide = self._passes(operands)
        wide_tiles = operands.get("wide", 0)
        beats = _drain_beats(operands)
        first = words * (wide if wide_tiles & 1 else narrow)
        last = max(start + first, self.last_word + self.last_beats)
        more_wide = (wide_tiles >> 1).bit_count()
        last += more_wide * max(words * wide, beats)
        last += (row_tiles - 1 - more_wide) * max(words * narrow, beats)
        self.last_word, self.last_beats = last, beats
        self.free[Unit.MATMUL] = last + latencies.gap
        self.by_kind[operation.subject.kind] += last + latencies.gap - start
        return last + latencies.matmul_fill + beats + latencies.drain_tail

    def _passes(self, operands: dict[str, int]) -> tuple[int, int]:
        """Passes of a row tile with 4-bit and with 8-bit weights."""
        if operands["weights"] != Weights.RING:
            return 2, 2
        sliced = (
            operands.get("activations", 0) == Activations.PIXELS and self.engine.act_bits < 8
        )
        return (2, 4) if sliced else (1, 2)

    def _norm(self, operation: Operation, start: float) -> float:
        operands, latencies = operation.operands, self.latencies
        lanes = operands["lane_count"]
        one_pass = _pairs(operands) * operands["row_words"]
        scalar = latencies.norm_scalar + (lanes - 1) * latencies.norm_token
        # The scalar path follows the first pass token by token.
        sums_end = start + max(one_pass, (lanes - 1) * latencies.norm_token)
        self.free[Unit.NORM] = (
            min(sums_end + latencies.norm_scalar, start + one_pass + scalar) + one_pass
            + latencies.gap
        )
        return self.free[Unit.NORM] + latencies.norm_fill

    def _softmax(self, operation: Operation, start: float) -> float:
        operands, latencies = operation.operands, self.latencies
        self.free[Unit.SOFTMAX] = (
            start + operands["lane_count"] * operands["key_words"] + latencies.gap
        )
        return self.free[Unit.SOFTMAX] + latencies.softmax_fill

    def _load(self, operation: Operation, start: float) -> float:
        operands, latencies = operation.operands, self.latencies
        size = operands["bytes"]
        self.bytes += size
        arrives = max(start + self.memory.latency_cycles, self.port)
        transfer = (size + self.fetch_debt) / self.memory.bytes_per_cycle
        self.fetch_debt = 0
        arrived = arrives + max(transfer, self._write_cycles(operands))
        self.port = arrived
        overlap = self.memory.latency_cycles if latencies.load_overlaps else 0
        self.free[Unit.LOAD] = max(start, arrived - overlap) + latencies.gap
        return arrived + latencies.load_tail

    def _write_cycles(self, operands: dict[str, int]) -> int:
        """Cycles of the scratchpad's write port."""
        size, target = operands["bytes"], operands["target"]
        if target == Target.GELU:
            return size
        if target == Target.PIXELS:
            segment = operands["segment_bytes"]
            return size // segment * -(-segment // self.engine.depth_lanes)
        if target == Target.RESIDUAL:
            return size // self.engine.residual_word_bytes
        return -(-size // self.engine.memory_bytes)

    def _store(self, operation: Operation, start: float) -> float:
        size = operation.operands["row_words"] * self.engine.row_lanes * 4
        self.bytes += size
        end = start + size / self.memory.bytes_per_cycle + self.latencies.store_tail
        self.free[Unit.STORE] = end
        return end


def _pairs(operands: dict[str, int]) -> int:
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 2 - first // 2 + 1


def _drain_beats(operands: dict[str, int]) -> int:
    """Beats of one row tile: pairs of lanes, for raw scores groups of four."""
    if operands["destination"] != Destination.SCORES:
        return _pairs(operands)
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 4 - first // 4 + 1
