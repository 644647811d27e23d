"""Which blocks may keep some of their patches, and how many: checked on a network's sizes.

Source: docs/numerics.md, section 5, Selection.
"""

from boards.host import checks
from rtl.errors import UserError
from rtl.model.numerics import IMPORTANCE_HEADS
from rtl.model.shape import NetworkShape


def check_selection(shape: NetworkShape, mean: bool = False) -> None:
    """Refuse a ``keep`` that does not hold in a network of these sizes.

    Parameters
    ----------
    shape : NetworkShape
    mean : bool
        Whether features are averaged over the patches, on the host; that logits are says the shape.

    Raises
    ------
    UserError
        If a block keeps no patch or more than enter it, is the last one or has too many heads; if
        there is no class token to choose by; if the network pools all of its patches.
    """
    for i, block in enumerate(shape.blocks):
        if block.keep is not None:
            _check_block(shape, i, block.keep, mean or shape.mean_pool)


def _check_block(shape: NetworkShape, index: int, keep: int, mean: bool) -> None:
    name = f"blocks.{index}.keep"
    checks.integer(f"{name} (of the patches that enter)", keep, 1, shape.patches_in(index))
    if not shape.class_token:
        raise UserError(
            f"{name} is {keep}, but there is no class token, by whose attention patches are chosen:"
            " all must stay"
        )
    if mean or shape.attention_pool:
        pool = "attention" if shape.attention_pool else "mean"
        raise UserError(f"{name} is {keep}, but pool {pool} is of all patches: all must stay")
    if index == len(shape.blocks) - 1:
        raise UserError(
            f"{name} is {keep}, but this block is the last: none follows that would work on fewer"
            " patches"
        )
    if (heads := shape.blocks[index].heads) > IMPORTANCE_HEADS:
        raise UserError(
            f"{name} is {keep}, but its block has {heads} heads: the importance of a patch has room"
            f" for {IMPORTANCE_HEADS}"
        )
