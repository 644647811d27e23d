"""Selection of tokens in a network's sizes: how many patches stay behind which block."""

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np

from boards.host import checks
from rtl.errors import UserError
from rtl.model.numerics import IMPORTANCE_HEADS
from rtl.model.shape import NetworkShape

KEEP_HELP = (
    "Patches that stay behind blocks, which are counted from 0, chosen image by image by the class"
    " token's attention: 3:0.7,6:0.7,9:0.7 as shares of the patches that are left there, rounded"
    " up, or 3:143,6:107,9:71 as counts. A decimal point makes a share: 3:1 keeps one patch, 3:1.0"
    " all. It takes an engine with select_tokens, such as zcu102_select."
)
DIGITS = 18
"""Most digits of a number in ``--keep``."""
ENTRY = re.compile(
    rf"([0-9]{{1,{DIGITS}}}):([0-9]{{1,{DIGITS}}}|[0-9]{{0,{DIGITS}}}\.[0-9]{{1,{DIGITS}}})"
)


def read_keep(text: str) -> dict[int, str]:
    """Read the option ``--keep`` without a network: the text of each value, by block.

    Raises
    ------
    UserError
        If the text is not as :func:`parse_keep` takes it.
    """
    wanted: dict[int, str] = {}
    for entry in text.split(","):
        found = ENTRY.fullmatch(entry.strip())
        if found is None:
            raise UserError(
                f"--keep has {checks.shown(entry)}: it must be BLOCK:COUNT or BLOCK:RATIO, such as"
                f" 3:143 or 3:0.7, of at most {DIGITS} digits each, with commas between them"
            )
        block, value = int(found[1]), found[2]
        if block in wanted:
            raise UserError(f"--keep has block {block} twice: give it once")
        if "." in value and not 0 < Fraction(value) <= 1:
            raise UserError(
                f"--keep {block}:{value}: a ratio must be above 0 and at most 1; a number of"
                " patches has no decimal point"
            )
        wanted[block] = value
    return wanted


def parse_keep(text: str, shape: NetworkShape) -> dict[int, int]:
    """Read the option ``--keep``: the patches that stay, by block.

    Parameters
    ----------
    text : str
        ``BLOCK:COUNT`` or ``BLOCK:RATIO``, separated by commas, in any order. A ratio has a decimal
        point, and is of the patches that enter the block, rounded up.
    shape : NetworkShape
        Its own counts are replaced.

    Raises
    ------
    UserError
        If the text is something else, or the network cannot keep these.
    """
    wanted, counts = read_keep(text), dict[int, int]()
    for block in sorted(wanted):
        _require_block(block, wanted[block], shape)
        counts[block] = _count(block, wanted[block], with_keep(shape, counts))
    with_keep(shape, counts)
    return counts


def _count(block: int, value: str, shape: NetworkShape) -> int:
    """Return the patches that a block with this value keeps, behind earlier blocks' selection."""
    if "." not in value:
        return int(value)
    return ceil(Fraction(value) * shape.patches_in(block))  # exact: 0.7 of 10 are 7


def _require_block(block: int, value: object, shape: NetworkShape) -> None:
    depth = len(shape.blocks)
    if block not in range(depth):
        raise UserError(
            f"keep {block}:{value}: there is no block {block}, the network has {depth}, counted"
            f" from 0 to {depth - 1}"
        )


def with_keep(shape: NetworkShape, counts: Mapping[int, int]) -> NetworkShape:
    """Return the same sizes with these patches kept, by block; all of them in other blocks.

    Raises
    ------
    UserError
        As :func:`check_keep`, or if there is no such block.
    """
    for block, keep in counts.items():
        _require_block(block, keep, shape)
    blocks = (replace(block, keep=counts.get(index)) for index, block in enumerate(shape.blocks))
    found = replace(shape, blocks=tuple(blocks))
    check_keep(found)
    return found


def check_keep(shape: NetworkShape, mean_features: bool = False) -> None:
    """Check that a network can select the tokens that its blocks keep.

    Parameters
    ----------
    shape : NetworkShape
    mean_features : bool
        Whether the host averages features over the patches, which a shape does not say.

    Raises
    ------
    UserError
        Names the first block that cannot, its value, the limit and the remedy.
    """
    for index, block in enumerate(shape.blocks):
        if block.keep is None:
            continue
        name, last = f"blocks.{index}.keep", len(shape.blocks) - 1
        given = f"{name} is {checks.shown(block.keep)}"
        if not shape.class_token:
            raise UserError(f"{given}: patches are chosen by a class token, and there is none")
        if shape.mean_pool or shape.attention_pool or mean_features:
            how = "attention over" if shape.attention_pool else "the mean of"
            raise UserError(
                f"{given}: the output is pooled by {how} all patches, of which none may go"
            )
        if index == last:
            raise UserError(f"{given}: nothing behind the last block would be spared: leave it out")
        left = shape.patches_in(index)
        if type(block.keep) is not int or not 1 <= block.keep <= left:
            raise UserError(
                f"{given}: it must be an integer from 1 to {left}, the patches that are left there"
            )
        if block.heads > IMPORTANCE_HEADS:
            raise UserError(
                f"{given}: the block has {block.heads} heads, and a patch's importance has room for"
                f" {IMPORTANCE_HEADS}"
            )


def original_tokens(
    tensors: Mapping[str, np.ndarray], shape: NetworkShape, block: int
) -> np.ndarray:
    """Tokens that enter a block, by their index in front of the first one.

    Parameters
    ----------
    tensors : mapping of str to array
        The ``kept`` of the blocks before, by their names in docs/numerics.md, section 8; of an
        image, or with a batch axis in front.
    shape : NetworkShape
    block : int
        ``len(blocks)``: tokens that leave the last one.

    Returns
    -------
    (tokens,), or (batch, tokens) where a block before selects and the tensors have a batch axis
    """
    found = np.arange(shape.tokens)
    for index in range(block):
        if shape.blocks[index].keep is not None:
            kept = tensors[f"blocks.{index}.kept"]
            found = np.take_along_axis(
                np.broadcast_to(found, (*kept.shape[:-1], found.shape[-1])), kept, -1
            )
    return found
