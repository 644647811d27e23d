"""Connections between components, with their payloads checked."""

from amaranth.hdl import Module, Shape
from amaranth.lib import data, wiring


def _shape_of(member: wiring.Member) -> object:
    """The layout of a data shape, so that equal structures compare equal; else the shape."""
    shape = member.shape
    if isinstance(shape, data.Layout) or not hasattr(shape, "as_shape"):
        return shape
    return Shape.cast(shape)


def link(m: Module, *interfaces: wiring.PureInterface) -> None:
    """Connect ``interfaces`` as :func:`amaranth.lib.wiring.connect` does, and check shapes too.

    ``connect()`` compares widths alone: a signed code would meet an unsigned one without a word.

    Raises
    ------
    TypeError
        If a member's shape differs between two of the interfaces; names the member.
    """
    first, *others = interfaces
    shapes = {path: _shape_of(member) for path, member, _ in first.signature.flatten(first)}
    for other in others:
        for path, member, _ in other.signature.flatten(other):
            if path in shapes and _shape_of(member) != shapes[path]:
                raise TypeError(
                    f"cannot link '{'.'.join(map(str, path))}': "
                    f"{shapes[path]!r} meets {_shape_of(member)!r}"
                )
    wiring.connect(m, *interfaces)
