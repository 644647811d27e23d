"""A trained network, read for a space, and checked against the supernet's largest subnet."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.importer.network import Affine, FloatNetwork
from nas.importer.options import ImportOptions
from nas.importer.source import read
from nas.importer.weights import read_weights
from nas.space import Space
from nas.warm.source import NetworkSource
from rtl.errors import UserError

GREY, COLOURS = 1, 3  # channels
FROM_OPTIONS = "--mean and --std", "mean and std beside its name in a task's file"


def read_fitting(source: NetworkSource, space: Space) -> FloatNetwork:
    """Read a network for the images of a space; positions of another grid are resampled.

    Raises
    ------
    UserError
        If it cannot be read, has a part that the supernet has not, or is of other sizes than the
        largest subnet: names all of them.
    """
    height, width, channels = space.image
    size = height if height == width else None
    classes = _classes(source.checkpoint)
    network = read_network(source, image_size=size, classes=classes)
    if channels == GREY and network.image[2] == COLOURS:
        network = grey(network)
    if missing := ", ".join(_missing(network, space)):
        raise UserError(f"{source.name} cannot start a supernet, which has not: {missing}")
    if differing := "; ".join(_differing(network, space)):
        raise UserError(
            f"{source.name} does not fit the space's largest subnet: {differing}: choose a network"
            " of these sizes, or a --space of the network's"
        )
    return network


def read_network(source: NetworkSource, **options: Any) -> FloatNetwork:
    """Read a network, with further fields of the importer's options.

    Raises
    ------
    UserError
        If it cannot be read, or more has to be said about it.
    """
    checkpoint = Path(source.checkpoint) if source.checkpoint else None
    given = ImportOptions(checkpoint, mean=source.mean, std=source.std, **options)
    try:
        return read(source.name, given)
    except UserError as error:
        reason = str(error).replace(*FROM_OPTIONS)
        known = reason if source.name in reason else f"{source.name}: {reason}"
        raise UserError(known) from None


def grey(network: FloatNetwork) -> FloatNetwork:
    """Let a network for colours take grey images, as if all three channels were alike."""
    weight = network.embed.weight.unflatten(1, (-1, COLOURS)) / network.std
    bias = network.embed.bias - (weight * network.mean).sum((1, 2))
    height, width, _ = network.image
    return replace(
        network,
        image=(height, width, GREY),
        mean=network.mean.new_zeros(GREY),
        std=network.std.new_ones(GREY),
        embed=Affine(weight.sum(2), bias),
        preprocessing=replace(network.preprocessing, mode="L"),
    )


def _classes(checkpoint: str | None) -> int | None:
    """Count the classes of a timm model's weights; None of a network that says so itself."""
    if checkpoint is None:
        return None
    head = read_weights(Path(checkpoint)).tensors.get("head.weight")
    return 0 if head is None else len(head)


def _missing(network: FloatNetwork, space: Space) -> Iterator[str]:
    """Name the parts of a network that the supernet has not."""
    if space.mean_pool:
        if network.class_token:
            yield "a class token beside its mean"
    elif not network.class_token:
        yield "patches without a class token"
    elif network.head is not None and network.pool == "mean":
        yield "a classifier on the mean of the patches"
    if network.registers:
        yield f"registers ({network.registers})"
    if network.front is not None:
        yield "a LayerNorm in front of the blocks"
    if network.pool == "attention":
        yield "attention pooling"
    for kind in sorted({block.activation for block in network.blocks} - {"erf"}):
        yield f"GELU of kind '{kind}'"
    epsilons = {each.norm1.epsilon for each in network.blocks}
    epsilons |= {each.norm2.epsilon for each in network.blocks}
    epsilons |= {network.norm.epsilon} if network.norm else set()
    if len(epsilons) > 1:
        yield f"LayerNorms of unlike epsilons ({', '.join(f'{e:g}' for e in sorted(epsilons))})"


def _differing(network: FloatNetwork, space: Space) -> Iterator[str]:
    """Say which sizes of a network are not those of the largest subnet."""
    ratio = space.mlp_ratios[-1]
    sizes = [
        ("image", network.image, space.image),
        ("patch", network.patch, space.patch),
        ("width", network.width, space.widths[-1]),
        ("dimensions per head", network.head_dim, space.head_dim),
        ("blocks", len(network.blocks), space.depths[-1]),
    ]
    for name, values, wanted in (
        ("heads", [block.heads for block in network.blocks], space.heads[-1]),
        ("hidden units", [b.hidden for b in network.blocks], round(ratio * space.widths[-1])),
    ):
        sizes += [(name, value, wanted) for value in sorted(set(values))]
    for name, found, wanted in sizes:
        if found != wanted:
            yield f"{name} {found}, not {wanted}"
