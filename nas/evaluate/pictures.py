"""Images of a report with the answers of an integer model and of its float network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from boards.host.features import features as host_features
from nas.evaluate.answers import Answers, float_answers, integer_answers
from nas.importer.forward import forward
from nas.importer.network import FloatNetwork, converted
from nas.importer.selection import on_tokens, original_patches
from nas.numerics.integer import IntegerNetwork
from nas.report.content import Picture
from rtl.model import Features, IntegerModel
from sim.host import Host

INTEGER, FLOAT = "integer", "float"
SHOWN = 3
"""Classes of an image: the likeliest of each network."""
LEAST_MAP = 8  # rows and columns from which an output of a host network is shown as a map
COLOURS = 3
POOLED = "attention"  # one token comes out: there is none of each patch


@dataclass(frozen=True, eq=False)
class Seen:
    """An image by one network.

    Parameters
    ----------
    answers : Answers
        Of a batch of one.
    attention : (rows, columns)
        Of the class token to the patches in the last block, the mean of the heads; without a class
        token among those that attend there, the mean of these. 0 to patches that are not there.
    tokens : (patches, features), optional
        Of a network without a classifier, unless they are pooled before they come out: of the
        patches that are left.
    left : (patches,) bool
        Whether each patch of the image is.
    """

    answers: Answers
    attention: np.ndarray
    tokens: np.ndarray | None
    left: np.ndarray


def pictures(
    model: IntegerModel,
    network: FloatNetwork | None,
    host: Host | None,
    images: Tensor,
    names: Sequence[str],
    labels: Sequence[str] = (),
) -> Iterator[Picture]:
    """Yield images with what both networks make of them, with the integer model's tokens.

    Parameters
    ----------
    model : IntegerModel
    network : FloatNetwork, optional
    host : callable, optional
        Network behind the features.
    images : (images, height, width, channels) uint8
    names, labels : sequence of str
        Of each image; labels may be missing.
    """
    exact = network and converted(network, torch.float32)
    for number, name in enumerate(names):
        image = images[number : number + 1]
        integer = _integer(model, host, image)
        seen = {} if exact is None else {FLOAT: _float(exact, host, image, integer.answers.kept)}
        seen[INTEGER] = integer
        classes, shares = _likeliest({who: each.answers for who, each in seen.items()}, model)
        yield Picture(
            name=name,
            pixels=image[0].numpy(),
            label=labels[number] if labels else "",
            attention={who: each.attention for who, each in seen.items()},
            maps=_maps(seen, model.shape.grid),
            classes=classes,
            shares=shares,
            remark=_remark(seen),
        )


def _integer(model: IntegerModel, host: Host | None, image: Tensor) -> Seen:
    tensors: dict[str, Tensor] = {}
    codes = IntegerNetwork(model).run(image, tensors=tensors).numpy()
    weights = tensors[f"blocks.{len(model.blocks) - 1}.attention"][0].numpy()
    shares = weights / weights.sum(axis=-1, keepdims=True)
    answers, tokens = integer_answers(model, host)(image), None
    left = _left(answers, model.shape.patches)
    if isinstance(model.output, Features) and model.output.pool != POOLED:
        everything = replace(model.output, pool="all")
        tokens = host_features(everything, codes, model.shape.patches)[0, : left.sum()]
    attention = _attention(shares, model.class_token, model.shape.grid, left)
    return Seen(answers, attention, tokens, left)


def _left(answers: Answers, patches: int) -> np.ndarray:
    """Say which patches of the image are left in the last block, (patches,) bool."""
    left = [*original_patches(answers.kept, patches).values()]
    return left[-1][0].numpy() if left else np.ones(patches, bool)


def _float(
    network: FloatNetwork, host: Host | None, image: Tensor, kept: Mapping[str, Tensor]
) -> Seen:
    found: dict[str, np.ndarray] = {}
    last = f"blocks.{len(network.blocks) - 1}.attention"

    def tap(name: str, tensor: Tensor) -> Tensor:
        if name == last:
            found[last] = tensor[0].numpy()
        return tensor

    with torch.no_grad():
        forward(network, image, on_tokens(kept, tap))
    answers, tokens = float_answers(network, host)(image, kept), None
    left = _left(replace(answers, kept=kept), network.patches)
    if network.head is None and network.pool != POOLED:
        everything = float_answers(replace(network, pool="all"))(image, kept).features
        assert everything is not None
        tokens = everything[0, : left.sum()]
    attention = _attention(found[last], network.class_token, network.sizes.grid, left)
    return Seen(answers, attention, tokens, left)


def _attention(
    weights: np.ndarray, class_token: bool, grid: tuple[int, int], left: np.ndarray
) -> np.ndarray:
    """(heads, queries, keys) to (rows, columns)."""
    queries, keys = weights.shape[1:]
    token = class_token and (queries == 1 or queries == keys)
    rows = weights[:, -1] if token else weights.mean(axis=1)
    found = np.zeros(len(left), rows.dtype)
    found[left] = rows.mean(axis=0)[: left.sum()]
    return found.reshape(grid)


def _likeliest(
    answers: dict[str, Answers], model: IntegerModel
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return names of the likeliest classes, and each network's probabilities of them."""
    logits = {who: each.logits[0] for who, each in answers.items() if each.logits is not None}
    if not logits:
        return (), {}
    shares = {who: _softmax(each.astype(np.float64)) for who, each in logits.items()}
    first = next(iter(shares.values()))
    order = np.argsort(-first, kind="stable")[:SHOWN].tolist()
    for each in shares.values():
        top = int(each.argmax())
        order += [top] if top not in order else []
    names = model.class_names
    called = tuple((names[number : number + 1] or ("",))[0] or str(number) for number in order)
    return called, {who: each[order] for who, each in shares.items()}


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def _maps(seen: dict[str, Seen], grid: tuple[int, int]) -> dict[str, dict[str, np.ndarray]]:
    """Return the tokens of patches as colours, and outputs of the host network that are maps."""
    found: dict[str, dict[str, np.ndarray]] = {}
    tokens = {who: each.tokens for who, each in seen.items() if each.tokens is not None}
    if tokens:
        found["tokens"] = _coloured(tokens, grid, seen[INTEGER].left)
    for name, value in seen[INTEGER].answers.outputs.items():
        flat = value.reshape(-1, *value.shape[-2:])
        if len(flat) == 1 and min(flat.shape[1:]) >= LEAST_MAP:
            found[name] = {
                who: each.answers.outputs[name].reshape(flat.shape)[0] for who, each in seen.items()
            }
    return found


def _coloured(
    tokens: dict[str, np.ndarray], grid: tuple[int, int], left: np.ndarray
) -> dict[str, np.ndarray]:
    """Colour patches by the three directions in which the first network's tokens differ most.

    Patches that are not left are black.
    """
    first = next(iter(tokens.values())).astype(np.float64)
    mean = first.mean(axis=0)
    directions = np.linalg.svd(first - mean, full_matrices=False)[2][:COLOURS]
    directions = directions * np.sign(directions.sum(axis=1, keepdims=True))
    low, high = np.quantile((first - mean) @ directions.T, [0.02, 0.98], axis=0)
    found = {}
    for who, each in tokens.items():
        parts = ((each - mean) @ directions.T - low) / np.maximum(high - low, 1e-12)
        colours = np.zeros((len(left), 3))
        colours[left, : parts.shape[1]] = np.clip(parts, 0, 1)
        found[who] = (255 * colours).astype(np.uint8).reshape(*grid, 3)
    return found


def _remark(seen: dict[str, Seen]) -> str:
    """Say how alike the tokens of both networks are."""
    if FLOAT not in seen:
        return ""
    one, other = seen[INTEGER].tokens, seen[FLOAT].tokens
    if one is None or other is None:
        return ""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())
    return f"Mean cosine of the patches' tokens, integer and float: {cosine:.4f}"
