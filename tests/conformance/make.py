"""``python -m tests.conformance.make``: model files with every tensor, to check interpreters.

Together the models use every feature of docs/format.md and reach the ends of the ranges that
docs/numerics.md names. Equal bytes on every machine; tests/conformance/README.md tells a reader
what is in the files.
"""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from boards.host.features import features
from rtl.cli import command
from rtl.model import (
    Features,
    HeadScales,
    HostNetwork,
    IntegerModel,
    Linear,
    Preprocessing,
)
from rtl.model.keep import original_tokens
from rtl.model.numerics import code_range
from sim import golden
from sim.random_model import random_images, random_model
from tests.conformance.arrays import write_arrays
from tests.conformance.pictures import RECIPES, write_preprocessing

PROG = "python -m tests.conformance.make"
IMAGES = 2  # for each model


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
    (batch, ...) by its name, and ``class`` (batch,) or ``features``, with ``features.tokens`` where
    these are of some tokens only.
    """
    images = random_images(model.image, IMAGES, seed=7)
    images[1, 0, 0], images[1, -1, -1] = 0, 255
    tensors: dict[str, np.ndarray] = {}
    output = golden.run(model, images, tensors=tensors)
    if isinstance(model.output, Features):
        made = {"features": features(model.output, output, model.shape.patches)}
        if model.output.pool == "all" and model.shape.selects:
            made["features.tokens"] = original_tokens(tensors, model.shape, len(model.blocks))
    else:
        made = {"class": output.argmax(axis=1)}
    return {"images": images, **tensors, **made}


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


def kept() -> IntegerModel:
    """Patches kept one block behind another, at first all of them; registers between the others."""
    return random_model(
        image=(12, 16, 1), patch=4, width=20, head_dim=8,
        blocks=[(2, 24), (1, 16), (3, 24), (2, 16)], classes=4, row_granularity=8, registers=2,
        keep={0: 12, 1: 9, 2: 4}, seed=17,
    )  # fmt: skip


def kept_ties() -> IntegerModel:
    """Patches of two kinds, equally important among themselves; activations of 4 bits."""
    model = random_model(
        image=(12, 12, 1), patch=2, width=16, head_dim=4, blocks=[(4, 16)] * 3, classes=3,
        act_bits=4, row_granularity=4, keep={0: 23, 1: 1}, seed=18,
    )  # fmt: skip
    position = model.position.copy()
    position[:36:2], position[1:36:2] = position[0], position[1]
    embed = rescaled(model.embed, multiplier=0, rows=slice(0, 16))
    return replace(model, position=position, embed=embed)


def kept_one() -> IntegerModel:
    """One patch beside the class token, which stays; twelve heads, activations of 8 bits."""
    return random_model(
        image=(8, 8, 3), patch=8, width=24, head_dim=2, blocks=[(12, 16), (2, 16)], classes=3,
        act_bits=8, row_granularity=8, bits8_fraction=0.5, keep={0: 1}, seed=19,
    )  # fmt: skip


def kept_tokens() -> IntegerModel:
    """Features of the tokens that are left, a register among them; a norm in front, two tables."""
    return random_model(
        image=(8, 16, 1), patch=4, width=16, head_dim=8, blocks=[(2, 24), (1, 24), (2, 16)],
        row_granularity=8, output="tokens", pool="all", registers=1, front=True, two_tables=True,
        keep={0: 5, 1: 3}, seed=20,
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
        kept,
        kept_ties,
        kept_one,
        kept_tokens,
    )
}
"""The models by the names of their files."""


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
