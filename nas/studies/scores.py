"""Ways to choose the row tiles that get 8 bits, beside that of :mod:`nas.quantize.choice`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.importer.network import FloatNetwork
from nas.quantize.budget import Cycles, choose_tiles
from nas.quantize.choice import RowScores
from nas.quantize.sensitivity import layer_inputs, rounding_error, row_scores


def local_scores(network: FloatNetwork, images: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Score rows by themselves: the noise of their weights times the power of their inputs.

    That is the squared change of a row's own results, whatever becomes of it afterwards; the
    arguments and the result are those of :func:`row_scores`, and nothing is drawn.
    """
    found = {}
    for name, inputs in layer_inputs(network, images)[0].items():
        change = (inputs - inputs.mean((0, 1))) @ rounding_error(network, name, inputs).T
        found[name] = change.square().sum((0, 1)).cpu()
    return found


def fisher_scores(images: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> RowScores:
    """Make scores by the gradient of the labels' loss instead of by random directions.

    Parameters
    ----------
    images : (images, height, width, channels) uint8
        Taken in the place of those that the scores are called with.
    labels : (images,) int64
    weight, bias : (classes, features), (classes,)
        Of a classifier that reads the class token's features, the last token's.
    """

    def directions(number: int, final: Tensor) -> list[Tensor]:
        slope = torch.softmax(final[0, -1] @ weight.to(final).T + bias.to(final), 0)
        slope[labels[number]] -= 1
        direction = torch.zeros_like(final)
        direction[0, -1] = slope @ weight.to(final)
        return [direction]

    return lambda network, _, seed: row_scores(network, images, seed, directions=directions)


def choose_layers(
    scores: Mapping[str, Tensor], cycles: Cycles, limit: int, chance: int | None = None
) -> dict[str, Tensor]:
    """Choose whole layers by score per cycle, as many as the limit allows.

    Arguments and result are those of :func:`choose_tiles`.
    """
    tiles = {name: len(part) for name, part in scores.items()}

    def widened(layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: flag.repeat(tiles[name]) for name, flag in layers.items()}

    totals = {name: part.sum().reshape(1) for name, part in scores.items()}
    return widened(choose_tiles(totals, lambda layers: cycles(widened(layers)), limit, chance))
