"""Ways to choose the row tiles that get 8 bits: what is scored, and what is taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from nas.importer.network import FloatNetwork
from nas.quantize.budget import Cycles, choose_tiles
from nas.quantize.sensitivity import row_scores

RowScores = Callable[[FloatNetwork, Tensor, int], dict[str, Tensor]]
"""Called with the folded network, images and a seed: scores of rows, as :func:`row_scores` has."""

Choose = Callable[[Mapping[str, Tensor], Cycles, int, int | None], dict[str, Tensor]]
"""Takes tiles by their scores within a number of cycles, as :func:`choose_tiles` does."""


@dataclass(frozen=True)
class TileChoice:
    """A way to choose; the default is the product's, studies compare others with it.

    Parameters
    ----------
    scores, choose : callable
    """

    scores: RowScores = row_scores
    choose: Choose = choose_tiles
