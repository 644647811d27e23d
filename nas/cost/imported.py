"""Shapes of networks that are imported: ONNX files, folders, and names with a checkpoint."""

from dataclasses import asdict, replace
from functools import cache

from nas.importer import ImportOptions
from nas.importer.options import NetworkOptions
from nas.importer.source import read
from rtl.model.shape import NetworkShape, plain_vit


def imported_shape(
    name: str, granularity: int, bits8: float, options: NetworkOptions
) -> NetworkShape:
    """Return the shape of a network that :func:`nas.importer.load` takes.

    Without a classifier, the residual words of all tokens are the output.

    Raises
    ------
    UserError
        If the network cannot be imported.
    """
    sizes = _sizes(name, options)

    def of_depth(depth: int, heads: int, hidden: int) -> NetworkShape:
        return plain_vit(
            image=sizes.image,
            patch=sizes.patch,
            width=sizes.width,
            heads=heads,
            head_dim=sizes.head_dim,
            hidden=hidden,
            depth=depth,
            classes=sizes.classes,
            row_granularity=granularity,
            bits8=bits8,
            mean_pool=sizes.mean_pool,
            class_token=sizes.class_token,
        )

    alone = [of_depth(1, block.heads, block.hidden) for block in sizes.blocks]
    return replace(
        alone[0],
        blocks=tuple(shape.blocks[0] for shape in alone),
        registers=sizes.registers,
        dense=sizes.dense,
    )


@cache
def _sizes(name: str, options: NetworkOptions) -> NetworkShape:
    """Import a network, and keep its sizes alone: tiles are of one row, with 4 bits."""
    # Costs do not depend on how pixels were normalised.
    network = read(name, ImportOptions(**asdict(options), mean=(0.0,), std=(1.0,)))
    first = network.blocks[0]
    shape = plain_vit(
        image=network.image,
        patch=network.patch,
        width=network.width,
        heads=first.heads,
        head_dim=network.head_dim,
        hidden=first.hidden,
        classes=0 if network.head is None else len(network.head.bias),
        row_granularity=1,
        class_token=network.class_token,
    )
    blocks = (
        replace(shape.blocks[0], heads=block.heads, hidden=block.hidden) for block in network.blocks
    )
    return replace(
        shape,
        blocks=tuple(blocks),
        registers=network.registers,
        dense=network.head is None,
        mean_pool=network.head is not None and network.pool == "mean",
    )
