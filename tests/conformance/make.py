"""``python -m tests.conformance.make``: model files with every tensor, to check interpreters.

Together the models use every feature of docs/format.md and reach the ends of the ranges that
docs/numerics.md names. Equal bytes on every machine; tests/conformance/README.md tells a reader
what is in the files.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from boards.host.features import features
from boards.host.pictures import prepare
from rtl.cli import command
from rtl.files import atomic_write
from rtl.model import (
    Features,
    HeadScales,
    HostNetwork,
    IntegerModel,
    Linear,
    Preprocessing,
)
from rtl.model.numerics import code_range
from sim import golden
from sim.random_model import random_images, random_model

PROG = "python -m tests.conformance.make"
IMAGES = 2  # for each model
DTYPES = (np.uint8, np.int8, np.int16, np.int32)
"""Types of the stored tensors: the first one that holds all values."""


@dataclass(frozen=True)
class ConformanceOptions:
    """Write the conformance files: integer models, their inputs, and every tensor's codes."""

    folder: Path = Path("tests/conformance")
    """Folder that receives the files; it is made if there is none."""


def main(options: ConformanceOptions) -> None:
    """Write all files."""
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        model = make()
        model.save(folder / f"{name}.pulsar")
        write_arrays(folder / f"{name}.npz", reference(model))
    write_preprocessing(folder / "preprocessing")
    print(f"{len(MODELS)} models and {len(RECIPES)} preprocessings in {folder}")


def reference(model: IntegerModel) -> dict[str, np.ndarray]:
    """Run golden: ``images`` (batch, height, width, channels), every tensor of numerics section 8
    (batch, ...) by its name, and ``class`` (batch,) or ``features``.
    """
    images = random_images(model.image, IMAGES, seed=7)
    images[1, 0, 0], images[1, -1, -1] = 0, 255
    tensors: dict[str, np.ndarray] = {}
    output = golden.run(model, images, tensors=tensors)
    if isinstance(model.output, Features):
        made = {"features": features(model.output, output, model.shape.patches)}
    else:
        made = {"class": output.argmax(axis=1)}
    return {"images": images, **tensors, **made}


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as .npz without compression, whose bytes would differ between zlibs."""
    stored: dict[str, Any] = {name: smallest(array) for name, array in arrays.items()}
    with atomic_write(path) as file:
        np.savez(file, **stored)


def smallest(array: np.ndarray) -> np.ndarray:
    """Store integers in the smallest of :data:`DTYPES` that holds them; floats as they are."""
    if array.dtype == np.float32:
        return array
    for dtype in DTYPES:
        limits = np.iinfo(dtype)
        if array.size == 0 or (limits.min <= array.min() and array.max() <= limits.max):
            return array.astype(dtype)
    raise ValueError(f"values up to {array.max()} do not fit int32")


# ------------------------------------------------------------ models


def plain() -> IntegerModel:
    """One block, class token, 4-bit and 8-bit row tiles mixed, one channel."""
    return random_model(
        image=(8, 8, 1), patch=4, width=16, head_dim=8, blocks=[(2, 24)], classes=3,
        row_granularity=8, bits8_fraction=0.5, seed=1,
    )  # fmt: skip


def colour() -> IntegerModel:
    """Three channels, an image that is no square, blocks of unequal size, a short last tile."""
    model = random_model(
        image=(8, 12, 3), patch=4, width=20, head_dim=6, blocks=[(2, 24), (3, 10), (1, 33)],
        classes=5, row_granularity=8, seed=2,
    )  # fmt: skip
    recipe = Preprocessing(
        crop=(8, 12), mode="RGB", resize=16, interpolation="bicubic", invert=True
    )
    names = ("Café", "日本", 'a "quoted" name', "", "\t")
    info = {"seed": 2, "note": "π", "nested": {"list": [1, 2.5, None, True]}}
    output = replace(model.classifier, output_scale=1e-7)
    return replace(model, preprocessing=recipe, class_names=names, info=info, output=output)


def four_bits() -> IntegerModel:
    """Activations of 4 bits; the mean of the patches beside a class token."""
    return random_model(
        image=(12, 12, 1), patch=4, width=16, head_dim=8, blocks=[(2, 16), (2, 16)], classes=4,
        act_bits=4, row_granularity=4, bits8_fraction={"q": 1.0, "fc2": 0.25}, pool="mean", seed=3,
    )  # fmt: skip


def eight_bits() -> IntegerModel:
    """Activations of 8 bits; the mean without a class token; 8-bit rows alone."""
    return random_model(
        image=(12, 12, 3), patch=6, width=16, head_dim=4, blocks=[(4, 32), (1, 8)], classes=4,
        act_bits=8, row_granularity=16, bits8_fraction=1.0, pool="mean", class_token=False, seed=4,
    )  # fmt: skip


def many_tokens() -> IntegerModel:
    """65 tokens: the dither's index passes 64, patches more than one tile of any small engine."""
    return random_model(
        image=(16, 16, 1), patch=2, width=12, head_dim=4, blocks=[(1, 12), (1, 12)], classes=2,
        row_granularity=1, bits8_fraction=0.4, seed=5,
    )  # fmt: skip


def edges() -> IntegerModel:
    """Ends of ranges: saturation everywhere, variance 0, equal logits, extreme scales."""
    model = random_model(
        image=(8, 8, 1), patch=4, width=16, head_dim=8, blocks=[(2, 24), (2, 24)], classes=4,
        row_granularity=8, bits8_fraction=0.5, seed=6,
    )  # fmt: skip
    position = model.position.copy()
    position[0], position[1] = 32767, -32768  # saturates, where the embedding adds to it
    position[-1] = 100  # the class token, to which no patch is added: no variance
    embed = rescaled(model.embed, multiplier=(1 << 17) - 1, rows=slice(0, 4))
    embed = rescaled(embed, multiplier=0, rows=slice(8, 16))
    first, last = model.blocks
    first = replace(
        first,
        softmax=HeadScales((1, (1 << 17) - 1), (47, 0)),
        context=HeadScales((1 << 15, (1 << 16) - 1), (0, 28)),
        norm2=replace(first.norm2, epsilon=1, gain=(1 << 16) - 1, shift=0),
        q=rescaled(first.q, shift=1, rows=slice(0, 2)),
        v=rescaled(first.v, shift=47, rows=slice(0, 2)),
        proj=replace(first.proj, residual_shift=15),
        fc1=replace(first.fc1, weight=with_ends(first.fc1)),
    )
    exponent = np.arange(16, dtype=np.uint8) % 4
    norm1 = replace(last.norm1, epsilon=(1 << 32) - 1, gain=1 << 15, shift=15, exponent=exponent)
    last = replace(last, norm1=norm1)
    # The same logits for all images: two are equal, one saturates.
    weight = np.zeros_like(model.classifier.head.weight)
    bias = np.array([5, 9, 9, -40_000], np.int32)
    head = replace(
        model.classifier.head,
        weight=weight,
        bias=bias,
        multiplier=np.array([1 << 16, 1 << 16, 1 << 16, (1 << 17) - 1], np.uint32),
        shift=np.array([16, 16, 16, 1], np.uint8),
    )
    output = replace(model.classifier, head=head)
    return replace(model, position=position, embed=embed, blocks=(first, last), output=output)


def two_tables() -> IntegerModel:
    """A second GELU table, in blocks of which one has a last row tile that is not full."""
    return random_model(
        image=(8, 8, 1), patch=4, width=16, head_dim=8, blocks=[(1, 36), (2, 8), (1, 24)],
        classes=4, row_granularity=8, two_tables=True, seed=8,
    )  # fmt: skip


def registers() -> IntegerModel:
    """Registers, which attend and are attended to, but are left out of the mean."""
    return random_model(
        image=(12, 8, 1), patch=4, width=16, head_dim=8, blocks=[(1, 16), (2, 16)], classes=3,
        row_granularity=8, registers=3, pool="mean", seed=9,
    )  # fmt: skip


def tokens() -> IntegerModel:
    """Tokens as the output; a host makes features of the class token, for a network of its own."""
    model = random_model(
        image=(8, 8, 3), patch=4, width=16, head_dim=8, blocks=[(2, 24), (1, 24)],
        row_granularity=8, output="tokens", registers=1, seed=10,
    )  # fmt: skip
    assert isinstance(model.output, Features)
    host = HostNetwork("tokens.host.onnx", hashlib.sha256(b"no such file").hexdigest())
    output = replace(model.output, host=host, scale=np.float32(0.0009), epsilon=np.float32(1e-12))
    return replace(model, output=output, class_names=("cat", "größe"))


def tokens_mean() -> IntegerModel:
    """Features averaged over the patches, 5 of 20 channels; activations of 8 bits, two tables."""
    model = random_model(
        image=(8, 12, 1), patch=4, width=20, head_dim=4, blocks=[(3, 16), (1, 20)], act_bits=8,
        row_granularity=4, output="tokens", pool="mean", class_token=False, two_tables=True,
        seed=11,
    )  # fmt: skip
    assert isinstance(model.output, Features)
    output = replace(model.output, matrix=model.output.matrix[:5], bias=model.output.bias[:5])
    return replace(model, output=output)


def tokens_all() -> IntegerModel:
    """Features of every token; activations of 4 bits; preprocessing that squashes and pads."""
    model = random_model(
        image=(8, 8, 1), patch=2, width=8, head_dim=4, blocks=[(2, 8)], act_bits=4,
        row_granularity=8, output="tokens", pool="all", seed=12,
    )  # fmt: skip
    recipe = Preprocessing(crop=(8, 8), mode="L", resize=(9, 6), margin="even", pad=128)
    return replace(model, preprocessing=recipe)


def front() -> IntegerModel:
    """A LayerNorm and a matrix in front of the blocks, registers, channels that fill no tile."""
    return random_model(
        image=(8, 12, 3), patch=4, width=20, head_dim=8, blocks=[(2, 24), (2, 16)], classes=4,
        row_granularity=8, registers=2, front=True, seed=13,
    )  # fmt: skip


def front_tokens() -> IntegerModel:
    """A LayerNorm in front of the blocks with an unsigned code of 8 bits; tokens as the output."""
    return random_model(
        image=(8, 8, 1), patch=4, width=16, head_dim=8, blocks=[(2, 24)], act_bits=8,
        row_granularity=8, output="tokens", front=True, seed=14,
    )  # fmt: skip


def pooled() -> IntegerModel:
    """Attention pooling, two tables in the block that pools; 7 features, no class token."""
    model = random_model(
        image=(8, 12, 3), patch=4, width=20, head_dim=6, blocks=[(2, 24), (3, 24)],
        row_granularity=8, output="tokens", pool="attention", class_token=False, two_tables=True,
        bits8_fraction=0.5, seed=15,
    )  # fmt: skip
    assert isinstance(model.output, Features)
    output = replace(model.output, matrix=model.output.matrix[:7], bias=model.output.bias[:7])
    return replace(model, output=output)


def pooled_front() -> IntegerModel:
    """Attention pooling beside a class token and a register, a norm in front; 4 bits."""
    return random_model(
        image=(8, 8, 1), patch=4, width=16, head_dim=8, blocks=[(1, 16), (2, 24)], act_bits=4,
        row_granularity=4, output="tokens", pool="attention", registers=1, front=True, seed=16,
    )  # fmt: skip


def with_ends(layer: Linear) -> np.ndarray:
    """Give the first row of each width both ends of its range."""
    weight = layer.weight.copy()
    for bits in (4, 8):
        weight[np.flatnonzero(layer.bits == bits)[0], :2] = code_range(bits, signed=True)
    return weight


def rescaled(
    layer: Linear, *, rows: slice, multiplier: int | None = None, shift: int | None = None
) -> Linear:
    """Replace the scales of some rows."""
    multipliers, shifts = layer.multiplier.copy(), layer.shift.copy()
    if multiplier is not None:
        multipliers[rows] = multiplier
    if shift is not None:
        shifts[rows] = shift
    return replace(layer, multiplier=multipliers, shift=shifts)


MODELS: dict[str, Callable[[], IntegerModel]] = {
    make.__name__: make
    for make in (
        plain,
        colour,
        four_bits,
        eight_bits,
        many_tokens,
        edges,
        two_tables,
        registers,
        tokens,
        tokens_mean,
        tokens_all,
        front,
        front_tokens,
        pooled,
        pooled_front,
    )
}
"""The models by the names of their files."""


# ------------------------------------------------------------ preprocessing

GREY, COLOUR, PALETTE, TRANSPARENT, ANIMATED = (
    "grey.pgm", "colour.ppm", "palette.png", "transparent.png", "animated.gif"
)  # fmt: skip
RECIPES: tuple[tuple[str, dict[str, Any]], ...] = (
    (GREY, {"crop": [23, 31], "mode": "L"}),
    (GREY, {"crop": [20, 20], "mode": "RGB", "invert": True}),
    (COLOUR, {"crop": [20, 20], "mode": "L"}),
    (COLOUR, {"crop": [16, 16], "mode": "RGB", "resize": 16}),
    (COLOUR, {"crop": [16, 16], "mode": "RGB", "resize": 16, "interpolation": "bicubic"}),
    (COLOUR, {"crop": [40, 41], "mode": "RGB", "resize": 57, "interpolation": "bicubic"}),
    (COLOUR, {"crop": [22, 30], "mode": "L", "resize": 23, "invert": True}),
    (PALETTE, {"crop": [20, 20], "mode": "RGB"}),
    (TRANSPARENT, {"crop": [20, 20], "mode": "RGB"}),
    (ANIMATED, {"crop": [20, 20], "mode": "L"}),
    (COLOUR, {"crop": [20, 20], "mode": "RGB", "margin": "even"}),
    (COLOUR, {"crop": [22, 30], "mode": "L", "margin": "even"}),
    (GREY, {"crop": [30, 40], "mode": "L", "pad": 200, "invert": True}),
    (COLOUR, {"crop": [40, 20], "mode": "RGB", "pad": 7, "margin": "even"}),
    (COLOUR, {"crop": [18, 16], "mode": "RGB", "resize": [19, 18], "interpolation": "bicubic"}),
    (COLOUR, {"crop": [24, 24], "mode": "RGB", "resize": 13, "pad": 0, "margin": "even"}),
)
"""An image file and a header's ``preprocessing``; what is not said is the default."""


def write_preprocessing(folder: Path) -> None:
    """Write image files, the recipes as JSON, and the pixels that each recipe gives."""
    folder.mkdir(exist_ok=True)
    write_images(folder)
    recipes, arrays = [], {}
    for index, (image, given) in enumerate(RECIPES):
        recipe = recipe_of(given)
        shape = (*recipe.crop, 1 if recipe.mode == "L" else 3)
        arrays[str(index)] = prepare(folder / image, recipe, shape)
        recipes.append({"image": image, "preprocessing": recipe.header(), "pixels": str(index)})
    with atomic_write(folder / "recipes.json", "w") as file:
        json.dump(recipes, file, indent=1)
        file.write("\n")
    write_arrays(folder / "pixels.npz", arrays)


def recipe_of(given: dict[str, Any]) -> Preprocessing:
    """A header's ``preprocessing``, in which lists stand for tuples."""
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in given.items()
    }
    return Preprocessing(**values)


def write_images(folder: Path) -> None:
    """Write one image of 23 x 31 pixels in each kind of file."""
    [pixels] = random_images((23, 31, 3), 1, seed=11)
    colour = Image.fromarray(pixels)
    grey = Image.fromarray(pixels[..., 0])
    palette = Image.fromarray(pixels[..., 1] >> 4, mode="P")
    palette.putpalette([value * 16 % 256 for value in range(48)])
    grey.save(folder / GREY)
    colour.save(folder / COLOUR)
    palette.save(folder / PALETTE, compress_level=0)
    with_alpha = Image.fromarray(np.dstack([pixels, pixels[..., :1]]))
    with_alpha.save(folder / TRANSPARENT, compress_level=0)
    grey.save(folder / ANIMATED, save_all=True, append_images=[Image.new("L", grey.size)])


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
