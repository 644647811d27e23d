"""Images with their answers: pixels and maps as pictures inside the page."""

from base64 import b64encode
from io import BytesIO
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image

from nas.report.axis import percent
from nas.report.content import Picture
from nas.report.markup import element

SMALL = 96  # pixels of a side up to which an image stays as it is, enlarged without smoothing
LARGE = 320
GLOW = (255, 176, 48)
SHOWN = 3  # classes of an image


def picture_card(picture: Picture) -> Element:
    """Show an image, what the class token attends to, and the answers."""
    strip = [_figure(_photo(picture.pixels), "image")]
    for who, weights in picture.attention.items():
        strip.append(_figure(_glowing(picture.pixels, weights), _named("attention", who)))
    maps = [
        element(
            "div",
            *(_figure(_map(each), _named(what, who)) for who, each in by.items()),
            class_="strip",
        )
        for what, by in picture.maps.items()
    ]
    title = element("h3", picture.name)
    label = element("p", f"class: {picture.label}", class_="note") if picture.label else None
    remark = element("p", picture.remark, class_="note") if picture.remark else None
    return element(
        "article", title, label, element("div", *strip, class_="strip"), *maps,
        _answers(picture), remark, class_="card",
    )  # fmt: skip


def _named(what: str, who: str) -> str:
    return f"{what}, {who}" if who else what


def _answers(picture: Picture) -> Element | None:
    """List the likeliest classes with each network's probability."""
    if not picture.shares:
        return None
    columns = list(picture.shares)
    cells = [element("span", "class", class_="head")]
    cells += [element("span", who, class_="head value") for who in columns]
    cells += [element("span", class_="head")] * (2 - len(columns))
    for number, name in enumerate(picture.classes):
        right = " good" if picture.label and name == picture.label else ""
        cells.append(element("span", name, class_=f"name{right}"))
        for who in columns:
            shares = picture.shares[who]
            first = " first" if shares[number] == shares.max() else ""
            cells.append(element("span", percent(float(shares[number])), class_=f"value{first}"))
        cells += [element("span")] * (2 - len(columns))
    return element("div", *cells, class_="answers")


def _figure(content: Element, said: str) -> Element:
    return element("figure", content, element("figcaption", said))


def _photo(pixels: np.ndarray, *over: Element, class_: str = "photo") -> Element:
    height, width, _ = pixels.shape
    return element(
        "div", _image(pixels), *over, class_=class_, style=f"--ratio: {width} / {height}"
    )


def _glowing(pixels: np.ndarray, weights: np.ndarray) -> Element:
    """Show an image dimly, lit where the weights, (rows, columns), are large."""
    light = np.clip(weights / max(float(np.quantile(weights, 0.99)), 1e-12), 0, 1)
    glow = np.zeros((*weights.shape, 4), np.uint8)
    glow[..., :3], glow[..., 3] = GLOW, (light * 235).astype(np.uint8)
    over = element("img", src=_source(Image.fromarray(glow), "PNG"), alt="")
    return _photo(pixels, over, class_="photo dim")


def _map(values: np.ndarray) -> Element:
    """Show a map, (rows, columns) of any range or (rows, columns, 3) uint8."""
    if values.ndim == 2:
        low, high = float(values.min()), float(values.max())
        grey = 255 * (values - low) / max(high - low, 1e-12)
        values = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return _photo(values)


def _image(pixels: np.ndarray) -> Element:
    """Show pixels, (height, width, channels) uint8: small ones as they are, others as JPEG."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if max(image.size) <= SMALL:
        return element("img", src=_source(image, "PNG"), alt="", class_="small")
    image.thumbnail((LARGE, LARGE))
    return element("img", src=_source(image, "JPEG"), alt="")


def _source(image: Image.Image, kind: str) -> str:
    data = BytesIO()
    image.save(data, kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{b64encode(data.getvalue()).decode()}"
