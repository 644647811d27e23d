"""Trained networks that a recipe names: looked at before the training."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from nas.training.recipe import TrainConfig
from nas.warm.fit import read_fitting
from nas.warm.source import NetworkSource, content_hash
from nas.warm.start import head_rows
from nas.warm.teacher import load_teacher


def with_start(
    config: TrainConfig, source: NetworkSource, class_names: Sequence[str], console: Console
) -> TrainConfig:
    """Return a configuration whose training begins with a network, and say what is taken of it.

    Raises
    ------
    UserError
        If the network cannot be read, or does not fit the largest subnet.
    """
    network = read_fitting(source, config.supernet.space)
    head = "its classifier" if head_rows(network, class_names) else "a new classifier"
    console.print(
        f"start: {source.name}, with {head}", highlight=False, markup=False, soft_wrap=True
    )
    start = replace(source.resolved, sha256=content_hash(network))
    assert network.norm is not None
    supernet = replace(config.supernet, epsilon=network.norm.epsilon)
    return replace(config, supernet=supernet, start=start)


def with_teacher(
    config: TrainConfig, source: NetworkSource, class_names: Sequence[str], console: Console
) -> TrainConfig:
    """Return a configuration whose training learns from a network, and say so.

    Raises
    ------
    UserError
        If the network cannot be read, or has other classes.
    """
    teacher = load_teacher(source, class_names)
    height, width, channels = teacher.image
    console.print(
        f"teacher: {source.name}, of {height} x {width} x {channels} pixels",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return replace(config, teacher=replace(source.resolved, sha256=teacher.sha256))
