"""The result of quantizing a float network."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from nas.importer.network import FloatNetwork
from nas.quantize.codes import NetworkCodes
from nas.quantize.rounding import Rows

Part = TypeVar("Part")


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


def moved(part: Part, device: torch.device | str) -> Part:
    """Move every tensor of a network, or of a part of it, to a device."""

    def move(whole: Any) -> Any:
        if isinstance(whole, Tensor):
            return whole.to(device)
        if isinstance(whole, tuple):
            return tuple(map(move, whole))
        if isinstance(whole, dict):
            return {name: move(each) for name, each in whole.items()}
        if is_dataclass(whole) and not isinstance(whole, type):
            return replace(whole, **{f.name: move(getattr(whole, f.name)) for f in fields(whole)})
        return whole

    return move(part)
