"""Checks of a canonical network, whatever it comes from."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from nas.importer.network import FloatNetwork
from nas.importer.sizes import check_classes, check_tokens
from rtl.errors import UserError


def check(network: FloatNetwork) -> None:
    """Check values, sizes and names.

    Raises
    ------
    UserError
        If the engine's files cannot hold the network, or its values are not numbers.
    """
    name = network.source.get("name", "network")
    for part, tensor in tensors(network):
        if not tensor.isfinite().all():
            raise UserError(f"{name}: {part} holds values that are not finite")
    check_tokens(name, network.sizes)
    check_classes(name, network.sizes)
    for index, block in enumerate(network.blocks):
        if len(block.q.bias) != block.heads * network.head_dim:
            raise UserError(
                f"{name}: block {index} has {block.heads} heads of"
                f" {len(block.q.bias) / block.heads:g} channels, block 0 heads of"
                f" {network.head_dim}: all must be equal"
            )
    names, head = len(network.class_names), network.head
    if head is not None and names not in (0, len(head.bias)):
        raise UserError(f"{name}: {names} class names for {len(head.bias)} classes")
    if names and head is None and network.host is None:
        raise UserError(f"{name}: {names} class names, but it has no classes: drop --class-names")


def tensors(part: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a network or a part of it by name, such as ``blocks.0.q.weight``."""
    if isinstance(part, Tensor):
        yield name, part
    elif is_dataclass(part):
        for field in fields(part):
            yield from tensors(getattr(part, field.name), f"{name}.{field.name}".lstrip("."))
    elif isinstance(part, tuple):
        for index, each in enumerate(part):
            yield from tensors(each, f"{name}.{index}")
