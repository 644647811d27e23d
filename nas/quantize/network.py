"""The result of quantizing a float network."""

from dataclasses import dataclass

from nas.importer.network import FloatNetwork
from nas.quantize.codes import NetworkCodes
from nas.quantize.rounding import Rows


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network as the engine will run it, in floating point.

    Parameters
    ----------
    network : FloatNetwork
        Folded; its weights are what ``rows`` stand for.
    codes : NetworkCodes
    rows : dict of str to Rows
        By the layer's full name.
    """

    network: FloatNetwork
    codes: NetworkCodes
    rows: dict[str, Rows]
