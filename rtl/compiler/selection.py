"""Tokens that stay: their index in the image, and what selecting them must write; hints."""

import re
from collections.abc import Mapping

import numpy as np

from rtl.compiler.divergence import UNKNOWN, Expected
from rtl.compiler.operations import Operation
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import divide_up
from rtl.config import EngineConfig
from rtl.isa.instructions import Instruction
from rtl.isa.scratchpads import NOWHERE, TokenWords, kept_words, places_of
from rtl.matmul.beats import RESIDUAL_GROUP
from rtl.memory.ports import IMPORTANCE_LANES
from rtl.model.keep import original_tokens
from rtl.model.shape import NetworkShape

OF_BLOCK = re.compile(r"blocks\.(\d+)\.(\w+)")
IN_FRONT = ("norm1", "q", "k", "v", "scores", "attention", "context")
"""Tensors of a block that have the tokens that enter it; the others have those that stay."""


def tokens_of_image(
    shape: NetworkShape, tensor: str, tensors: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Index in the image of each token of a tensor; tokens behind the patches count on.

    Parameters
    ----------
    shape : NetworkShape
    tensor : str
        Name of docs/numerics.md, section 8.
    tensors : dict of str to array
        Golden's tensors of one image.
    """
    found = OF_BLOCK.fullmatch(tensor)
    if found:
        behind = int(found[1]) + (found[2] not in IN_FRONT)
    else:
        behind = 0 if tensor in ("embed", "front", "front.norm") else len(shape.blocks)
    return original_tokens(tensors, shape, behind)


def compacted_words(
    instruction: Instruction, engine: EngineConfig, kept: np.ndarray, tokens: int
) -> tuple[np.ndarray, TokenWords]:
    """Tokens that a MATMUL to KEPT writes, counted among those that stay, and their words.

    Parameters
    ----------
    instruction : Instruction
    engine : EngineConfig
    kept : (tokens that stay,) int
        Their indices among all, ascending.
    tokens : int
        How many there are.
    """
    places = places_of(kept, tokens)
    lanes, words = kept_words(instruction, engine, places)
    return places[instruction["token"] + instruction["lane_first"] + lanes], words


def written_importance(
    number: int, operation: Operation, plan: Plan, tensors: Mapping[str, np.ndarray]
) -> Expected:
    """Words of four importances that a softmax writes; what they are is known of the last head."""
    block = operation.subject.block
    importance = tensors[f"blocks.{block}.importance"]
    keys = min(operation.operands["keys"], plan.engine.select_tokens)
    values = np.zeros((divide_up(keys, IMPORTANCE_LANES), IMPORTANCE_LANES), np.int64)
    values.reshape(-1)[: len(importance)] = importance
    known = np.arange(values.size).reshape(values.shape) < len(importance)
    last = operation.subject.head == plan.shape.blocks[block].heads - 1
    return _selected(number, f"blocks.{block}.importance", "importance", values, known & last)


def written_places(
    number: int, operation: Operation, tensors: Mapping[str, np.ndarray]
) -> Expected:
    """Places of each pair of tokens that SELECT writes: two places, or :data:`NOWHERE`.

    Further the place of the first one that stays modulo 4, and how many words down it lies.
    """
    operands = operation.operands
    tokens = operands["patches"] + operands["others"]
    places = places_of(tensors[operation.subject.tensor], tokens + tokens % 2).reshape(-1, 2)
    stays = places != NOWHERE
    first = np.where(stays[:, 0], places[:, 0], places[:, 1])
    groups = 2 * np.arange(len(places)) // RESIDUAL_GROUP - first // RESIDUAL_GROUP
    where = np.stack([first % RESIDUAL_GROUP, operands["stride"] * groups], axis=1)
    known = np.repeat(stays.any(1), 2).reshape(-1, 2)
    return _selected(
        number,
        operation.subject.tensor,
        "places",
        np.concatenate([places, where], axis=1),
        np.concatenate([np.ones_like(known), known], axis=1),
    )


def _selected(
    number: int, tensor: str, buffer: str, values: np.ndarray, known: np.ndarray
) -> Expected:
    """Expected words 0, 1, ... of a memory without banks."""
    count = len(values)
    return Expected(
        number=number,
        buffer=buffer,
        tensor=tensor,
        head=-1,
        banks=np.zeros(count, int),
        words=np.arange(count),
        values=values,
        written=np.ones(values.shape, bool),
        known=known,
        tokens=np.full(count, UNKNOWN),
        columns=np.full(values.shape, UNKNOWN),
    )


def hints(plan: Plan) -> list[str]:
    """Counts that open a token tile without a patch, in words, with the next count that fills all.

    Of 144 patches and a class token on 18 lanes, the class token is alone in a tile: 143 patches
    take a tile less.
    """
    shape, lanes = plan.shape, plan.engine.token_lanes
    found = []
    for index, block in enumerate(shape.blocks):
        if block.keep is None:
            continue
        tiles, alone = divmod(block.keep + shape.others, lanes)
        full = block.keep - alone
        if 0 < alone <= shape.others and full > 0:
            filled = "one tile" if tiles == 1 else f"{tiles} tiles"
            whose = "the class token" if shape.others == 1 else "tokens that are no patches"
            found.append(
                f"blocks.{index} keeps {block.keep:,} patches: {whose} would open a token tile of"
                f" {lanes} lanes; {full:,} patches and all others fill {filled}"
            )
    return found
