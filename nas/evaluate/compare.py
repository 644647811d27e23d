"""An integer model and its float network on the same images, measured image by image.

Where they select tokens, the float network answers twice: with the tokens that it chooses itself,
and with those that the integer model has chosen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from time import perf_counter

import numpy as np
from torch import Tensor

from nas.evaluate.answers import Answer, Answers
from nas.importer.selection import KEPT, original_patches

Measured = dict[str, np.ndarray]
"""Arrays (images,) by name: what is left of the answers, a few numbers per image."""

FEATURES = "features"
SAME = "same."
"""Head of the names of what is measured where both networks have the integer model's tokens."""


def measure(
    batches: Iterable[Tensor],
    labels: np.ndarray | None,
    integer: Answer,
    exact: Answer | None,
    patches: int,
) -> Iterator[Measured]:
    """Yield what is measured of each batch, and ``integer.seconds`` per image.

    Parameters
    ----------
    batches : iterable of (batch, height, width, channels) uint8
    labels : (images,) int64, optional
    integer, exact : callable
        Of the integer model and of the float network, which may be missing.
    patches : int
        Of the image.
    """
    first = 0
    for images in batches:
        part = None if labels is None else labels[first : first + len(images)]
        first += len(images)
        began = perf_counter()
        answers = integer(images)
        seconds = np.full(len(images), (perf_counter() - began) / len(images))
        own = exact and exact(images)
        found = measured(part, answers, own, patches)
        if exact and own and answers.kept:
            found |= selected(answers, own, exact(images, answers.kept), patches)
        yield found | {"integer.seconds": seconds}


def joined(parts: Iterable[Measured]) -> Measured:
    """Join what was measured of batches."""
    batches = list(parts)
    return {name: np.concatenate([part[name] for part in batches]) for name in batches[0]}


def measured(
    labels: np.ndarray | None, integer: Answers, exact: Answers | None, patches: int
) -> Measured:
    """Measure a batch.

    Tokens of networks that have chosen different ones are not compared.

    Returns
    -------
    dict
        ``integer.rank`` and ``float.rank``, classes in front of the right one; ``agree``, whether
        both have the same first class; and of features and outputs, by name, ``NAME.error`` and
        ``NAME.length``, squared, ``NAME.cosine`` and ``NAME.correlation``.
    """
    found: Measured = {}
    if labels is not None and integer.logits is not None:
        found["integer.rank"] = ranks(integer.logits, labels)
        if exact and exact.logits is not None:
            found["float.rank"] = ranks(exact.logits, labels)
    if exact is None:
        return found
    if integer.logits is not None and exact.logits is not None:
        found["agree"] = integer.logits.argmax(1) == exact.logits.argmax(1)
    one, other = integer.features, exact.features
    if one is not None and other is not None and (one.ndim == 2 or not integer.kept):
        found |= _differences(FEATURES, one, other)
        if one.ndim == 3:  # of the class token and registers there are few
            one, other = one[:, :patches], other[:, :patches]
        found[f"{FEATURES}.cosine"] = _per_image(_cosine(one, other))
    for name, value in integer.outputs.items():
        found |= _differences(name, value, exact.outputs[name])
        one, other = value.reshape(len(value), -1), exact.outputs[name].reshape(len(value), -1)
        centred = (each - each.mean(1, keepdims=True) for each in (one, other))
        found[f"{name}.correlation"] = _cosine(*centred)
    return found


def selected(integer: Answers, own: Answers, same: Answers, patches: int) -> Measured:
    """Measure what two networks that select make of a batch.

    Parameters
    ----------
    integer, own : Answers
        Of both networks, each with the tokens that it has chosen.
    same : Answers
        Of the float network with the integer model's tokens.
    patches : int
        Of the image.

    Returns
    -------
    dict
        ``kept.own.I``, the part of the patches behind block ``I`` that both networks have left of
        the image; ``kept.same.I``, likewise where the float network chooses among the patches that
        the integer model has in front of that block; and ``same.NAME`` as of :func:`measured`.
    """
    found: Measured = {}
    ours, theirs = (original_patches(of.kept, patches) for of in (integer, own))
    for block, left in ours.items():
        both, name = left & theirs[block], f"blocks.{block}.{KEPT}"
        found[f"kept.own.{block}"] = (both.sum(1) / left.sum(1)).numpy()
        there, chosen = (of.kept[name].cpu() for of in (integer, same))
        count = left[0].sum()
        common = (there[:, :, None] == chosen[:, None]).any(2).sum(1)
        others = there.shape[1] - count  # registers and the class token, which always stay
        found[f"kept.same.{block}"] = ((common - others) / count).numpy()
    alone = replace(integer, kept={})  # the tokens are the same
    likenesses = measured(None, alone, same, int(count))
    return found | {f"{SAME}{name}": values for name, values in likenesses.items()}


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the classes in front of the right one; among equals, the first class is in front.

    (batch, classes) and (batch,) to (batch,).
    """
    own = np.take_along_axis(logits, labels[:, None], 1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(1)


def _differences(name: str, one: np.ndarray, other: np.ndarray) -> Measured:
    """Squared length of the error, and of the float network's answer."""
    axes = tuple(range(1, one.ndim))
    error = np.square(one.astype(np.float64) - other).sum(axes)
    return {f"{name}.error": error, f"{name}.length": np.square(other.astype(np.float64)).sum(axes)}


def _cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine along the last axis; 0 where a vector is."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(-1) / np.maximum(lengths, 1e-300)


def _per_image(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1).mean(1)
