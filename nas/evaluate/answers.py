"""Answers of a network, integer or float, in real values: logits, features, a host's outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from boards.host.features import features as host_features
from nas.importer.forward import Tap, forward, look, output
from nas.importer.network import FloatNetwork
from nas.importer.selection import keeping, noting, on_tokens
from nas.numerics.integer import IntegerNetwork
from rtl.errors import UserError
from rtl.model import Features, IntegerModel
from sim.host import Host


@dataclass(frozen=True, eq=False)
class Answers:
    """Real values that a network gives for a batch of images.

    Parameters
    ----------
    logits : (batch, classes), optional
        Of the network's own classifier, or the first output of a host network with two axes.
    features : (batch, features) or (batch, tokens, features), optional
        Of a network without a classifier.
    outputs : mapping
        Whatever else a host network gives, by name: (batch, ...) each.
    kept : mapping of str to (batch, tokens)
        Tokens that the network lets stay, by name (``blocks.0.kept``), where it selects.
    """

    logits: np.ndarray | None = None
    features: np.ndarray | None = None
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)


Answer = Callable[..., Answers]
"""From images (batch, height, width, channels) uint8 to answers. The float network's also takes
tokens that stay, as :attr:`Answers.kept` of another network has them."""


def integer_answers(
    model: IntegerModel, host: Host | None = None, device: torch.device | str = "cpu"
) -> Answer:
    """Return what answers for an integer model, with whole numbers up to its output."""
    network, patches = IntegerNetwork(model, device), model.shape.patches

    def answer(images: Tensor) -> Answers:
        kept: dict[str, Tensor] = {}
        codes = network.run(images, kept=kept).cpu().numpy()
        if not isinstance(model.output, Features):
            return Answers(logits=codes * np.float32(model.output.output_scale), kept=kept)
        return replace(_behind(host_features(model.output, codes, patches), host), kept=kept)

    return answer


def float_answers(network: FloatNetwork, host: Host | None = None) -> Answer:
    """Return what answers for a float network, in its tensors' type and on their device.

    Where tokens that stay are given, these do; the answers tell which ones it would have chosen
    among those that are there.
    """

    def answer(images: Tensor, given: Mapping[str, Tensor] | None = None) -> Answers:
        kept: dict[str, Tensor] = {}
        tap = noting(kept, on_tokens(given, look) if given else look)
        found = result(network, images, tap).cpu().numpy()
        answers = Answers(logits=found) if network.head else _behind(found, host)
        return replace(answers, kept=kept)

    return answer


@torch.no_grad()
def result(network: FloatNetwork, images: Tensor, tap: Tap = look) -> Tensor:
    """Compute a float network's logits, or its features as it pools them.

    Parameters
    ----------
    network : FloatNetwork
    images : (batch, height, width, channels) uint8
    tap : callable
        As of :func:`nas.importer.forward.forward`.
    """
    return output(network, forward(network, images, tap), tap)


def matching(network: FloatNetwork, model: IntegerModel) -> FloatNetwork:
    """Check that a float network can be compared with a model.

    Returns
    -------
    FloatNetwork
        It pools as the model does, and keeps as many patches.

    Raises
    ------
    UserError
        If it takes other images, or gives something else.
    """
    name, wanted = network.source.get("name", "the float network"), model.output
    if network.image != model.image:
        ours, theirs = (" x ".join(map(str, size)) for size in (model.image, network.image))
        raise UserError(
            f"{name} takes images of {theirs}, the integer model of {ours}: give the float network"
            f" it was made of (--image-size {model.image[0]})"
        )
    if len(network.blocks) != len(model.blocks):
        raise UserError(
            f"{name} has {len(network.blocks)} blocks, the integer model {len(model.blocks)}: give"
            " the float network it was made of"
        )
    classes = 0 if network.head is None else len(network.head.bias)
    if classes != model.classes:
        raise UserError(
            f"{name} has {_counted(classes)}, the integer model {_counted(model.classes)}: give the"
            f" float network it was made of (--classes {model.classes})"
        )
    if not isinstance(wanted, Features):
        return _keeping(network, model)
    width = network.width if network.features is None else len(network.features.bias)
    if width != len(wanted.bias):
        raise UserError(
            f"{name} has {width} features, the integer model {len(wanted.bias)}: give the float"
            " network it was made of"
        )
    return _keeping(replace(network, pool=wanted.pool), model)


def _keeping(network: FloatNetwork, model: IntegerModel) -> FloatNetwork:
    """Let a float network keep as many patches as a model does."""
    counts = {i: of.keep for i, of in enumerate(model.blocks) if of.keep is not None}
    return keeping(network, counts) if counts else network


def classes_of(model: IntegerModel, host: Host | None) -> int:
    """Count the classes of a model's classifier, or of its host network's; 0 without either."""
    if host is None or not isinstance(model.output, Features):
        return model.classes
    words = np.zeros((1, model.shape.tokens, model.shape.width), np.int16)
    logits = _behind(host_features(model.output, words, model.shape.patches), host).logits
    return 0 if logits is None else logits.shape[1]


def _counted(classes: int) -> str:
    return f"{classes} classes" if classes else "no classifier"


def _behind(found: np.ndarray, host: Host | None) -> Answers:
    """Let a host network answer, if there is one."""
    outputs = host(found) if host else {}
    flat = [name for name, value in outputs.items() if value.ndim == 2 and value.shape[1] > 1]
    logits_of = outputs.pop(flat[0]) if flat else None
    return Answers(logits_of, found, outputs)
