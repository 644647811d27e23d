"""Elements of a page: text is escaped, whatever it holds, and what is written is well-formed."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Content = Element | str | None
"""An element, a text, or nothing."""


def element(tag: str, *content: Content, **attributes: object) -> Element:
    """Make an element.

    Parameters
    ----------
    tag : str
    *content : Element, str or None
    **attributes
        Without those that are None; ``class_`` stands for ``class``, and ``_`` for ``-``.
    """
    given = {name: value for name, value in attributes.items() if value is not None}
    found = Element(tag, {_attribute(name): _text(value) for name, value in given.items()})
    for part in content:
        if isinstance(part, str):
            _append_text(found, part)
        elif part is not None:
            found.append(part)
    return found


def written(found: Element) -> str:
    """Write an element as HTML."""
    return ElementTree.tostring(found, encoding="unicode", method="html")


def _attribute(name: str) -> str:
    return name.removesuffix("_").replace("_", "-")


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _append_text(found: Element, text: str) -> None:
    if len(found):
        found[-1].tail = (found[-1].tail or "") + text
    else:
        found.text = (found.text or "") + text
