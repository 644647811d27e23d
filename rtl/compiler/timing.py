"""Cycles of a program: an event simulation of its instructions.

Each unit takes its instructions in order from its queue, as soon as the fetcher has put them
there and the semaphores allow. Instructions are visited in program order, which is enough: all
that one waits for comes before it. What an instruction takes is a formula of its operands, with
the constants of :class:`UnitLatencies`.
"""

from collections import defaultdict
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
    """Pipeline constants in cycles. The defaults are TINY's.

    :func:`rtl.compiler.latencies.unit_latencies` takes them from the RTL of any engine. "Taken"
    is the cycle in which a unit accepts an instruction.

    Parameters
    ----------
    fetch : int
        From start to the first request for instructions, and from data to the first decoded one.
    dispatch : int
        From the fetcher to an idle unit that waits for nothing.
    signal : int
        From ``done`` of an instruction until one that waits for it is taken.
    matmul_start, matmul_finish : int
        ``START_CYCLES`` and ``finish_cycles`` of :class:`rtl.matmul.unit.MatmulUnit`.
    norm_pair : int
        From the last beat of a pair's pass 1 to the first of its pass 2.
    norm_done, softmax_done : int
        From the last read to ``done``.
    load_check : int
        From taken to the request.
    load_gap : int
        Between the data of two LOADs.
    store_word : int
        Reading a word; its beats follow.
    store_answer : int
        From the last beat to ``done``.
    end : int
        From the last ``done`` to the engine's.
    """

    fetch: int = 12
    dispatch: int = 4
    signal: int = 3
    matmul_start: int = 4
    matmul_finish: int = 28
    norm_pair: int = 42
    norm_done: int = 16
    softmax_done: int = 45
    load_check: int = 6
    load_gap: int = 2
    store_word: int = 3
    store_answer: int = 10
    end: int = 12


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
        self.bytes_per_cycle = min(memory.bytes_per_cycle, self.engine.memory_bytes)
        self.latencies = latencies
        self.free = [0.0] * UNITS  # when a unit can take its next instruction
        self.last_word = 0.0  # of the latest row tile, in the feed
        self.last_beats = 0  # that its drain takes
        self.port = 0.0  # memory is busy until then
        self.fetch_debt = 0  # bytes of instructions that delay the next transfer
        self.busy: defaultdict[Unit, float] = defaultdict(float)
        self.by_kind: defaultdict[str, float] = defaultdict(float)
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
        step = max(1, INSTRUCTION_BYTES / self.bytes_per_cycle)
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
        begin = max(start + latencies.matmul_start - 1, self.last_word)
        first = words * (wide if wide_tiles & 1 else narrow)
        last = max(begin + first, self.last_word + self.last_beats)
        more_wide = (wide_tiles >> 1).bit_count()
        last += more_wide * max(words * wide, beats)
        last += (row_tiles - 1 - more_wide) * max(words * narrow, beats)
        self.last_word, self.last_beats = last, beats
        # The next instruction is taken while this one is fed.
        self.free[Unit.MATMUL] = last - latencies.matmul_start
        self.busy[Unit.MATMUL] += last - begin
        self.by_kind[operation.subject.kind] += last - begin
        return last + beats + latencies.matmul_finish

    def _passes(self, operands: dict[str, int]) -> tuple[int, int]:
        """Passes of a row tile with 4-bit and with 8-bit weights."""
        if operands["weights"] != Weights.RING:
            return 2, 2
        sliced = operands.get("activations", 0) == Activations.PIXELS and self.engine.act_bits < 8
        return (2, 4) if sliced else (1, 2)

    def _norm(self, operation: Operation, start: float) -> float:
        """Two passes share the beats; pass 2 follows pair by pair, before the next one's pass 1."""
        operands, latencies = operation.operands, self.latencies
        row_words = operands["row_words"]
        beats = _pairs(operands) * row_words
        begin = start + 1 + operands["lane_first"] // 2
        read = begin + max(2 * beats, beats + latencies.norm_pair + row_words)
        self.free[Unit.NORM] = begin + max(beats, 2 * beats - latencies.norm_pair)
        self.busy[Unit.NORM] += 2 * beats
        return read + latencies.norm_done

    def _softmax(self, operation: Operation, start: float) -> float:
        operands = operation.operands
        words = operands["lane_count"] * operands["key_words"]
        read = start + 1 + operands["lane_first"] // 4 + words
        self.free[Unit.SOFTMAX] = read
        self.busy[Unit.SOFTMAX] += words
        return read + self.latencies.softmax_done

    def _load(self, operation: Operation, start: float) -> float:
        """Requests run ahead of the data; data of all LOADs follow one another."""
        operands, latencies = operation.operands, self.latencies
        size = operands["bytes"]
        self.bytes += size
        begin = max(start + latencies.load_check + self.memory.latency_cycles, self.port)
        transfer = (size + self.fetch_debt) / self.bytes_per_cycle
        self.fetch_debt = 0
        cycles = latencies.load_gap + max(transfer, self._write_cycles(operands))
        self.port = begin + cycles
        self.busy[Unit.LOAD] += cycles
        self.free[Unit.LOAD] = max(
            start + latencies.load_check,
            self.port - latencies.load_check - self.memory.latency_cycles,
        )
        return self.port

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
        """A word is read, then sent, then the next."""
        words = operation.operands["row_words"]
        word_bytes = self.engine.row_lanes * 4
        self.bytes += words * word_bytes
        cycles = words * (self.latencies.store_word + word_bytes / self.bytes_per_cycle)
        self.busy[Unit.STORE] += cycles
        self.free[Unit.STORE] = start + cycles + self.latencies.store_answer
        return self.free[Unit.STORE]


def _pairs(operands: dict[str, int]) -> int:
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 2 - first // 2 + 1


def _drain_beats(operands: dict[str, int]) -> int:
    """Beats of one row tile: pairs of lanes, for raw scores groups of four."""
    if operands["destination"] != Destination.SCORES:
        return _pairs(operands)
    first = operands["lane_first"]
    return (first + operands["lane_count"] - 1) // 4 - first // 4 + 1
