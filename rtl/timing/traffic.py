"""Work and traffic of an image: products, bytes of memory, bytes of scratchpads.

Everything is counted from the operands of the very program that runs.
"""

from collections import Counter
from dataclasses import dataclass

from rtl.compiler import Operation, Plan, Program
from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Destination, Opcode, Weights
from rtl.isa.scratchpads import stored_beats, stored_words
from rtl.model import numerics
from rtl.timing.bound import array_work
from rtl.timing.units import array_cycles

PROGRAM = "program"  # the kind of the bytes of instructions
KINDS = {
    "": "embed",  # pixels
    "position": "embed",
    "front.norm": "front",
    "norm1": "qkv",
    "q": "qkv",
    "k": "qkv",
    "v": "qkv",
    "norm2": "fc1",
    "gelu": "fc1",
    "values": "pool",
    "weights": "pool",
    "norm": "head",
}
"""The kind of layer that needs a LOAD, by what it is for; others are kinds themselves."""


@dataclass(frozen=True)
class Work:
    """Work and traffic of one image.

    Parameters
    ----------
    macs : int
        Multiply-accumulates without padding.
    array_cycles : int
        Cycles in which the array multiplies.
    products : int
        Products of the array in these cycles, of 4-bit weights and with padding.
    read_bytes : dict of str to int
        Bytes that are read from memory for each kind of layer, and for the program.
    written_bytes : int
        Bytes that are written to memory.
    scratchpad_read_bytes, scratchpad_written_bytes : int
        Bytes on the chip, in whole words of the lanes that take part, by the operands of the
        instructions: weights, activations, pixels, keys, values, scores, residual stream and row
        parameters, without the small tables of exponents, GELU and scales.
    """

    macs: int
    array_cycles: int
    products: int
    read_bytes: dict[str, int]
    written_bytes: int
    scratchpad_read_bytes: int
    scratchpad_written_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes read and written in memory; :class:`rtl.timing.Prediction` has the same."""
        return sum(self.read_bytes.values()) + self.written_bytes

    @property
    def scratchpad_bytes(self) -> int:
        """Bytes that are read and written on the chip."""
        return self.scratchpad_read_bytes + self.scratchpad_written_bytes


def work_of(program: Program) -> Work:
    """Count the work of an image of a program."""
    engine = program.plan.engine
    read, cycles, written = Counter({PROGRAM: program.program_bytes}), 0, 0
    read_bits = written_bits = 0  # of scratchpads
    for operation in program.operations:
        operands = operation.operands
        if operation.opcode is Opcode.LOAD:
            name = operation.subject.layer
            layer = name if name in KINDS else name.rpartition(".")[2]
            read[KINDS.get(layer, layer)] += operands["bytes"]
        elif operation.opcode is Opcode.STORE:
            written += stored_beats(operands, engine) * engine.memory_bytes
        elif operation.opcode is Opcode.MATMUL:
            cycles += array_cycles(operation.operands, engine)
        reads, writes = scratchpad_bits(operation, engine)
        read_bits, written_bits = read_bits + reads, written_bits + writes
    written_bits -= _dropped_bits(program.plan)
    return Work(
        macs=array_work(program.plan.shape),
        array_cycles=cycles,
        products=cycles * engine.products,
        read_bytes=dict(read),
        written_bytes=written,
        scratchpad_read_bytes=read_bits // 8,
        scratchpad_written_bytes=written_bits // 8,
    )


def scratchpad_bits(operation: Operation, engine: EngineConfig) -> tuple[int, int]:
    """Count the bits that an instruction reads and writes in scratchpads."""
    operands = operation.operands
    if operation.opcode is Opcode.LOAD:
        return 0, 8 * operands["bytes"]
    if operation.opcode is Opcode.STORE:
        return 8 * stored_words(operands) * engine.residual_word_bytes, 0
    if operation.opcode is Opcode.MATMUL:
        writes, updates = _drained_bits(operands, engine)
        return _fed_bits(operands, engine) + updates, writes
    if operation.opcode is Opcode.NORM:
        values = operands["row_words"] * operands["lane_count"] * engine.row_lanes
        return 2 * values * numerics.RESIDUAL_BITS, values * engine.act_bits  # two passes
    if operation.opcode is Opcode.SOFTMAX:
        values = operands["key_words"] * operands["lane_count"] * engine.row_lanes
        return values * numerics.SCORE_BITS, values * engine.act_bits
    return 0, 0


def _fed_bits(operands: dict[str, int], engine: EngineConfig) -> int:
    """Count the bits that a MATMUL reads: both ports of the array, and row parameters."""
    pixels = operands.get("activations", 0) == Activations.PIXELS
    code = 8 if pixels else engine.act_bits
    weight = numerics.ATOM_BITS if operands["weights"] == Weights.RING else numerics.KV_BITS
    word = operands["lane_count"] * code + engine.row_lanes * weight
    parameters = 8 * operands["row_tiles"] * engine.parameter_word_bytes
    return array_cycles(operands, engine) * engine.depth_lanes * word + parameters


def _dropped_bits(plan: Plan) -> int:
    """Count the bits that MATMULs to KEPT do not write, of all tokens that do not stay.

    Which instruction writes how many depends on the image; their sum does not.
    """
    dropped = sum(plan.tokens_in(block) - plan.tokens_in(block + 1) for block in plan.shape.keep)
    values = plan.token_words * plan.engine.row_lanes
    return dropped * values * numerics.RESIDUAL_BITS


def _drained_bits(operands: dict[str, int], engine: EngineConfig) -> tuple[int, int]:
    """Count the bits that a MATMUL's drain writes, and those before them that it reads."""
    destination = operands["destination"]
    rows = operands["row_tiles"] * engine.row_lanes
    bits = {
        Destination.ACTIVATIONS: engine.act_bits,
        Destination.SCORES: numerics.SCORE_BITS,
        Destination.RESIDUAL: numerics.RESIDUAL_BITS,
        Destination.KEPT: numerics.RESIDUAL_BITS,
    }.get(Destination(destination), numerics.KV_BITS)
    if destination == Destination.ACTIVATIONS:
        rows = operands["mask_count"] * engine.depth_lanes
    writes = rows * operands["lane_count"] * bits
    return writes, writes if operands.get("accumulate", 0) else 0
