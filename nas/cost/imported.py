"""Sizes of networks that are imported: ONNX files, folders, and names with a checkpoint."""

from dataclasses import asdict
from functools import cache

from nas.importer import ImportOptions
from nas.importer.options import NetworkOptions
from nas.importer.selection import selectable
from nas.importer.source import read
from rtl.model.shape import NetworkShape


@cache
def imported_sizes(name: str, options: NetworkOptions, selects: bool = False) -> NetworkShape:
    """Return the sizes of a network that :func:`nas.importer.load` takes, not yet in row tiles.

    Parameters
    ----------
    name : str
    options : NetworkOptions
    selects : bool
        Whether blocks are to keep some patches: the sizes then say all that forbids it.

    Raises
    ------
    UserError
        If the network cannot be imported, or cannot select.
    """
    # Costs do not depend on how pixels were normalised.
    network = read(name, ImportOptions(**asdict(options), mean=(0.0,), std=(1.0,)))
    return selectable(network) if selects else network.sizes
