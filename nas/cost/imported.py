"""Sizes of networks that are imported: ONNX files, folders, and names with a checkpoint."""

from dataclasses import asdict
from functools import cache

from nas.importer import ImportOptions
from nas.importer.options import NetworkOptions
from nas.importer.source import read
from rtl.model.shape import BlockShape, NetworkShape


@cache
def imported_sizes(name: str, options: NetworkOptions) -> NetworkShape:
    """Return the sizes of a network that :func:`nas.importer.load` takes, not yet in row tiles.

    Without a classifier, the residual words of all tokens are the output.

    Raises
    ------
    UserError
        If the network cannot be imported.
    """
    # Costs do not depend on how pixels were normalised.
    network = read(name, ImportOptions(**asdict(options), mean=(0.0,), std=(1.0,)))
    head = network.head
    return NetworkShape(
        image=network.image,
        patch=network.patch,
        width=network.width,
        head_dim=network.head_dim,
        classes=0 if head is None else len(head.bias),
        row_granularity=1,
        blocks=tuple(BlockShape(each.heads, each.hidden, bits8=()) for each in network.blocks),
        embed_bits8=(),
        head_bits8=(),
        mean_pool=head is not None and network.pool == "mean",
        class_token=network.class_token,
        registers=network.registers,
        dense=head is None,
    )
