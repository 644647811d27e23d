"""Loop nest of a MATMUL instruction in Python, from the table of docs/design/0001-engine.md."""

from dataclasses import dataclass

from rtl.isa.instructions import Activations, Destination, Weights
from rtl.model import numerics

PASSES = {
    (False, False): [(0, None, 0)],
    (True, False): [(1, None, 0), (0, None, 1)],
    (False, True): [(0, 1, 0), (0, 0, 1)],
    (True, True): [(1, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1)],
}
"""By (8-bit weights, sliced pixels): high nibble, high slice (None: whole), shift before."""


@dataclass(frozen=True)
class PythonStep:
    """One word of the loop nest, and where its operands lie."""

    row_tile: int
    bits8: bool
    high_nibble: int
    high_slice: int | None
    first: bool  # word of its row tile
    last: bool  # word of its row tile
    shift_before: bool
    new_words: bool  # first word of a pass over weight words not read before
    again: bool  # first word of a pass over the weight words of the pass before
    activation: int
    weight: int


def passes_of(op: dict[str, int], row_tile: int, act_bits: int) -> list[tuple]:
    """Passes of a row tile."""
    bits8 = op["weights"] != Weights.RING or bool(op["bits8"] >> row_tile & 1)
    sliced = op["activations"] == Activations.PIXELS and act_bits < numerics.KV_BITS
    return PASSES[bits8, sliced]


def steps_of(op: dict[str, int], act_bits: int, weight_words: int) -> list[PythonStep]:
    """All words of an instruction, in order."""
    steps, ring, count = [], op["weight_address"], op["depth_words"]
    for row_tile in range(op["row_tiles"]):
        passes = passes_of(op, row_tile, act_bits)
        bits8 = any(high for high, _, _ in passes)
        for index, (high_nibble, high_slice, shift) in enumerate(passes):
            same_nibble = index > 0 and passes[index - 1][0] == high_nibble
            again = index > 0 and (op["weights"] != Weights.RING or same_nibble)
            for d in range(count):
                weight = {
                    Weights.RING: (ring + (bits8 and not high_nibble) * count + d) % weight_words,
                    Weights.KEYS: op["weight_address"] + row_tile * op["weight_step"] + d,
                    Weights.VALUES: op["weight_address"] + row_tile + d * op["weight_step"],
                }[Weights(op["weights"])]
                steps.append(
                    PythonStep(
                        row_tile=row_tile,
                        bits8=bits8,
                        high_nibble=high_nibble,
                        high_slice=high_slice,
                        first=index == d == 0,
                        last=index == len(passes) - 1 and d == count - 1,
                        shift_before=bool(shift) and d == 0,
                        new_words=d == 0 and not again,
                        again=d == 0 and again,
                        activation=op["activation_address"] + d,
                        weight=weight,
                    )
                )
        ring += count * (1 + bits8)
    return steps


def beats_of(op: dict[str, int]) -> int:
    """Beats that the drain takes for each row tile."""
    lanes = 4 if op["destination"] == Destination.SCORES else 2
    last = op["lane_first"] + op["lane_count"] - 1
    return last // lanes - op["lane_first"] // lanes + 1
