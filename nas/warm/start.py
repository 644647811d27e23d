"""The supernet at its largest size with the weights of a trained network, in float mode exactly.

What the supernet has no parameter for goes into the matrices beside it: weight and bias of each
LayerNorm, mean and standard deviation of the pixels, the signs of layer scaling. Biases of keys
change no softmax and are dropped.
"""

from collections.abc import Sequence

import torch

from nas.importer.network import Affine, FloatBlock, FloatNetwork
from nas.quantize.fold import absorb_norms, absorb_pixels
from nas.supernet.layers import ElasticBlock, ElasticLinear
from nas.supernet.supernet import Supernet
from nas.warm.classes import class_rows
from nas.warm.fit import read_fitting
from nas.warm.source import NetworkSource, content_hash
from rtl.errors import UserError

LEAST_SCALE = 1e-30  # of layer scaling; less is nothing, which has no logarithm


def begin(net: Supernet, source: NetworkSource, class_names: Sequence[str]) -> None:
    """Give a supernet the weights of a recipe's network.

    Raises
    ------
    UserError
        If the network cannot be read, or is not the one that the recipe was made with.
    """
    network = read_fitting(source, net.config.space)
    if content_hash(network) != source.sha256:
        raise UserError(f"{source.name} has changed since the command began: give it again")
    start_from(net, network, class_names)


@torch.no_grad()
def start_from(net: Supernet, network: FloatNetwork, class_names: Sequence[str]) -> bool:
    """Give a supernet the weights of a network that :func:`nas.warm.fit.read_fitting` let pass.

    The head is taken where the classes are the same: by their names, or where the network has none
    by their number. Else it stays as it was initialised.

    Parameters
    ----------
    net : Supernet
        Its epsilon is the network's.
    network : FloatNetwork
    class_names : sequence of str
        Of the supernet's classes.

    Returns
    -------
    bool
        Whether the head was taken.
    """
    network = absorb_norms(absorb_pixels(network))
    _fill(net.embed, _centred(network.embed, net))
    net.position.copy_(network.position)
    for index, block in enumerate(network.blocks):
        _fill_block(net.block(index), block)
    rows = head_rows(network, class_names)
    if network.head is None or rows is None:
        return False
    _fill(net.head, Affine(network.head.weight[rows], network.head.bias[rows]))
    return True


def head_rows(network: FloatNetwork, class_names: Sequence[str]) -> list[int] | None:
    """Find the classifier's rows of some classes, in their order; None where they differ."""
    if network.head is None:
        return None
    return class_rows(network.class_names, len(network.head.bias), class_names)


def _centred(embed: Affine, net: Supernet) -> Affine:
    """Let the patch embedding of pixels 0 ... 255 take the supernet's, (pixel - mean) / std."""
    mean = torch.tensor(net.config.pixel_mean).repeat(net.config.space.patch**2).to(embed.weight)
    return Affine(embed.weight * net.config.pixel_std, embed.bias + embed.weight @ mean)


def _fill_block(target: ElasticBlock, block: FloatBlock) -> None:
    """Fill a block; its norms have neither weight nor bias any more."""
    for name in ("q", "k", "v", "fc1"):
        _fill(getattr(target, name), getattr(block, name))
    for layer, source, scale, gain in (
        (target.proj, block.proj, block.scale1, target.log_attention_gain),
        (target.fc2, block.fc2, block.scale2, target.log_mlp_gain),
    ):
        sign = scale.sign()
        sign[scale.abs() < LEAST_SCALE] = 0
        _fill(layer, Affine(source.weight * sign[:, None], source.bias * sign))
        gain.copy_(torch.where(sign == 0, 1, scale.abs()).log().expand_as(gain))


def _fill(layer: ElasticLinear, source: Affine) -> None:
    layer.weight.copy_(source.weight)
    if layer.bias is not None:
        layer.bias.copy_(source.bias)
