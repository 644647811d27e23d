"""The integer model: all that an interpreter, compiler or host needs, and nothing else.

A model that exists is valid: the constructor of :class:`IntegerModel` checks names, types, shapes,
ranges and accumulator bounds, whether the parts come from a file or from an exporter.

Source: docs/format.md (the file), docs/numerics.md (what the values mean).
"""

import json
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from rtl.errors import UserError
from rtl.model import checks
from rtl.model import file as model_file
from rtl.model.fields import Fields
from rtl.model.file import FORMAT, Header, Tensors
from rtl.model.numerics import ACT_BITS, KV_BITS, MAX_TOKENS, MAX_WIDTH, SCORE_BITS, code_range
from rtl.model.parts import (
    LINEAR_DTYPES,
    SCALE_DTYPES,
    SIZE_MAX,
    Block,
    HeadScales,
    Linear,
    Norm,
    Pool,
    Preprocessing,
    check_no_residual,
    magnitude,
)
from rtl.model.shape import BlockShape, NetworkShape

PIXEL_MAX = 255


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A vision transformer in integers.

    Parameters
    ----------
    act_bits : int
        4, 6 or 8.
    row_granularity : int
        Rows per tile of one weight width.
    image : (height, width, channels)
    patch, width, head_dim, classes : int
    embed : Linear
        Patch embedding, (width, patch * patch * channels).
    position : (tokens, width) int16
        Preloads the residual stream; the last row is class token plus its position, where there is
        one.
    blocks : tuple of Block
    norm : Norm
        The final one.
    head : Linear
        (classes, width).
    output_scale : float
        Real value of one logit code.
    class_names : tuple of str
    preprocessing : Preprocessing
    producer : str
    info : dict
        How the model was made; JSON values, not used by numerics.
    pool : Pool, optional
        The mean that the head works on; without it the head works on the class token.
    class_token : bool
        False only where there is a ``pool``.

    Raises
    ------
    UserError
        If anything does not hold that docs/format.md and docs/numerics.md demand.
    """

    act_bits: int
    row_granularity: int
    image: tuple[int, int, int]
    patch: int
    width: int
    head_dim: int
    classes: int
    embed: Linear
    position: np.ndarray
    blocks: tuple[Block, ...]
    norm: Norm
    head: Linear
    output_scale: float
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    producer: str
    info: dict[str, Any] = field(default_factory=dict)
    pool: Pool | None = None
    class_token: bool = True

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_description()
        self._check_layers()

    @classmethod
    def load(cls, path: Path | str) -> "IntegerModel":
        """Read and check a file; ``UserError`` names the path and what does not hold."""
        try:
            header, tensors = model_file.read(path)
            return _Decoder(tensors).model(header)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def save(self, path: Path | str) -> None:
        """Write the file, equal to the byte for equal models; whole or not at all."""
        model_file.write(path, self.header(), self.tensors())

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content: two models with one hash are the same model."""
        return model_file.content_hash(self.header(), self.tensors())

    @cached_property
    def shape(self) -> NetworkShape:
        """Sizes and width flags, without weights."""
        return self._shape(bits8=True)

    @property
    def tokens(self) -> int:
        return self._shape().tokens

    def linears(self) -> dict[str, Linear]:
        """All layers by their full name, in the order of their execution."""
        blocks = {
            f"blocks.{i}.{name}": linear
            for i, block in enumerate(self.blocks)
            for name, linear in block.linears().items()
        }
        return {"embed": self.embed, **blocks, "head": self.head}

    def header(self) -> Header:
        """The file's JSON header, without ``hash``."""
        height, width, channels = self.image
        return {
            "format": FORMAT,
            "producer": self.producer,
            "act_bits": self.act_bits,
            "row_granularity": self.row_granularity,
            "image": {"height": height, "width": width, "channels": channels},
            "patch": self.patch,
            "width": self.width,
            "head_dim": self.head_dim,
            "classes": self.classes,
            **self._pool_header(),
            "blocks": [block.header() for block in self.blocks],
            "embed": {"residual_shift": self.embed.residual_shift},
            "norm": self.norm.header(),
            "output_scale": self.output_scale,
            "class_names": list(self.class_names),
            "preprocessing": self.preprocessing.header(),
            # A round trip, so that tuples and integer keys hash as they will read back.
            "info": json.loads(model_file.canonical_json(self.info)),
        }

    def _pool_header(self) -> Header:
        if self.pool is None:
            return {"pool": "token"}
        return {"pool": "mean", "class_token": self.class_token}

    def tensors(self) -> Tensors:
        """The file's tensors by name."""
        tensors = {"position": self.position, "norm.exponent": self.norm.exponent}
        for name, linear in self.linears().items():
            tensors |= {f"{name}.{key}": getattr(linear, key) for key in LINEAR_DTYPES}
        for i, block in enumerate(self.blocks):
            tensors[f"blocks.{i}.gelu"] = block.gelu
            tensors[f"blocks.{i}.norm1.exponent"] = block.norm1.exponent
            tensors[f"blocks.{i}.norm2.exponent"] = block.norm2.exponent
        if self.pool is not None:
            tensors |= {f"pool.{key}": getattr(self.pool, key) for key in SCALE_DTYPES}
        return tensors

    def _shape(self, bits8: bool = False) -> NetworkShape:
        def flags(linear: Linear) -> tuple[bool, ...]:
            return linear.bits8(self.row_granularity) if bits8 else ()

        blocks = tuple(
            BlockShape(
                block.heads,
                block.hidden,
                tuple((name, flags(linear)) for name, linear in block.linears().items()),
            )
            for block in self.blocks
        )
        return NetworkShape(
            image=self.image,
            patch=self.patch,
            width=self.width,
            head_dim=self.head_dim,
            classes=self.classes,
            row_granularity=self.row_granularity,
            blocks=blocks,
            embed_bits8=flags(self.embed),
            head_bits8=flags(self.head),
            mean_pool=self.pool is not None,
            class_token=self.class_token,
        )

    def _check_sizes(self) -> None:
        checks.choice("act_bits", self.act_bits, ACT_BITS)
        checks.integer("row_granularity", self.row_granularity, 1, MAX_WIDTH)
        for name, size in zip(("height", "width", "channels"), self.image, strict=True):
            checks.integer(f"image.{name}", size, 1, SIZE_MAX)
        checks.integer("patch", self.patch, 1, SIZE_MAX)
        if self.image[0] % self.patch or self.image[1] % self.patch:
            raise UserError(
                f"image of {self.image[0]}x{self.image[1]} pixels is not a whole number of patches"
                f" of {self.patch}"
            )
        checks.boolean("class_token", self.class_token)
        if self.pool is None and not self.class_token:
            raise UserError("pool token needs a class token: class_token must be true, not False")
        what = "patches and class token" if self.class_token else "patches"
        tokens = self._patches() + self.class_token
        checks.integer(f"tokens ({what})", tokens, 1 + self.class_token, MAX_TOKENS)
        checks.integer("width", self.width, 1, MAX_WIDTH)
        # The whole range of both operands has to fit the raw scores.
        score_limit = 1 << (SCORE_BITS - self.act_bits - KV_BITS + 1)
        checks.integer("head_dim", self.head_dim, 1, score_limit - 1)
        checks.integer("classes", self.classes, 1, SIZE_MAX)
        if not self.blocks:
            raise UserError("blocks must have at least one block, not 0")
        for i, block in enumerate(self.blocks):
            checks.integer(f"blocks.{i}.heads", block.heads, 1, SIZE_MAX)
            checks.integer(f"blocks.{i}.hidden", block.hidden, 1, SIZE_MAX)

    def _patches(self) -> int:
        return (self.image[0] // self.patch) * (self.image[1] // self.patch)

    def _check_description(self) -> None:
        checks.text("producer", self.producer)
        scale = self.output_scale
        if type(scale) not in (int, float) or not isfinite(scale) or scale <= 0:
            raise UserError(f"output_scale must be a positive number, not {checks.shown(scale)}")
        if len(self.class_names) != self.classes:
            raise UserError(
                f"class_names must have {self.classes} entries, not {len(self.class_names)}"
            )
        for i, name in enumerate(self.class_names):
            checks.text(f"class_names[{i}]", name)
        self.preprocessing.check(self.image)
        if type(self.info) is not dict:
            raise UserError(f"info must be an object, not {checks.shown(self.info)}")

    def _check_layers(self) -> None:
        shape, granularity = self._shape(), self.row_granularity
        checks.tensor("position", self.position, "int16", (shape.tokens, shape.width))
        self.embed.check("embed", (shape.width, shape.patch_values), granularity, PIXEL_MAX)
        for i, block in enumerate(self.blocks):
            block.check(f"blocks.{i}", shape.layer_sizes(i), granularity, self.act_bits)
        self.norm.check("norm", shape.width, self.act_bits)
        codes = self.norm.range(self.act_bits)
        if self.pool is not None:
            self.pool.check("pool", shape.width, shape.patches)
            codes = code_range(self.act_bits, signed=True)
        largest = magnitude(codes)
        self.head.check("head", (shape.classes, shape.width), granularity, largest)
        check_no_residual({"head": self.head})


def repack(model: IntegerModel, row_granularity: int) -> IntegerModel:
    """Widen row tiles so that every aligned group of ``row_granularity`` rows has one width.

    A 4-bit row that shares a group with an 8-bit row becomes an 8-bit row of the same integers:
    the logits are equal, the weights take more bytes and cycles.
    """
    checks.integer("row_granularity", row_granularity, 1, MAX_WIDTH)

    def widened(linear: Linear) -> Linear:
        starts = np.arange(0, linear.rows, row_granularity)
        bits = np.repeat(np.maximum.reduceat(linear.bits, starts), row_granularity)
        return replace(linear, bits=bits[: linear.rows])

    blocks = tuple(
        replace(block, **{name: widened(linear) for name, linear in block.linears().items()})
        for block in model.blocks
    )
    return replace(
        model,
        row_granularity=row_granularity,
        embed=widened(model.embed),
        blocks=blocks,
        head=widened(model.head),
    )


class _Decoder:
    """Turns header and tensors into a model, and finds what is missing and what is left over.

    Types and ranges of the values are checked by the model itself.
    """

    def __init__(self, tensors: Tensors):
        self._tensors = dict(tensors)

    def model(self, header: Header) -> IntegerModel:
        top = Fields("header", header)
        top.take("format")
        image = top.object("image")
        model = {
            "image": tuple(image.take(key) for key in ("height", "width", "channels")),
            "embed": self.linear("embed", top),
            "position": self.tensor("position"),
            "blocks": tuple(
                self.block(f"blocks.{i}", Fields(f"blocks.{i}", block))
                for i, block in enumerate(top.list("blocks"))
            ),
            "norm": self.norm("norm", top),
            "head": self.linear("head"),
            "class_names": tuple(top.list("class_names")),
            "preprocessing": _preprocessing(top.object("preprocessing")),
            **self.pool(top),
        }
        image.finish()
        model |= {f.name: top.take(f.name) for f in fields(IntegerModel) if f.name not in model}
        top.finish()
        for name in self._tensors:
            raise UserError(f"tensor {checks.shown(name)} does not belong to this model")
        return IntegerModel(**model)

    def block(self, name: str, block: Fields) -> Block:
        code = block.object("hidden_code")
        result = Block(
            heads=block.take("heads"),
            hidden=block.take("hidden"),
            norm1=self.norm(f"{name}.norm1", block),
            q=self.linear(f"{name}.q"),
            k=self.linear(f"{name}.k"),
            v=self.linear(f"{name}.v"),
            softmax=_head_scales(block.object("softmax")),
            context=_head_scales(block.object("context")),
            proj=self.linear(f"{name}.proj", block),
            norm2=self.norm(f"{name}.norm2", block),
            fc1=self.linear(f"{name}.fc1"),
            gelu=self.tensor(f"{name}.gelu"),
            hidden_signed=code.take("signed"),
            hidden_zero=code.take("zero"),
            fc2=self.linear(f"{name}.fc2", block),
        )
        code.finish()
        block.finish()
        return result

    def linear(self, name: str, parent: Fields | None = None) -> Linear:
        """Read a layer; one that writes the residual stream has an entry in ``parent``."""
        tensors: dict[str, Any] = {key: self.tensor(f"{name}.{key}") for key in LINEAR_DTYPES}
        if parent is None:
            return Linear(**tensors)
        entry = parent.object(name.rpartition(".")[2])
        residual_shift = entry.take("residual_shift")
        entry.finish()
        return Linear(**tensors, residual_shift=residual_shift)

    def norm(self, name: str, parent: Fields) -> Norm:
        entry = parent.object(name.rpartition(".")[2])
        keys = ("epsilon", "gain", "shift", "zero", "signed")
        values = {key: entry.take(key) for key in keys}
        entry.finish()
        return Norm(**values, exponent=self.tensor(f"{name}.exponent"))

    def pool(self, top: Fields) -> dict[str, Any]:
        """Fields of the model that say what the head works on."""
        pool = top.take("pool")
        checks.choice("pool", pool, ("token", "mean"))
        if pool == "token":
            return {"pool": None, "class_token": True}
        scales = {key: self.tensor(f"pool.{key}") for key in SCALE_DTYPES}
        return {"pool": Pool(**scales), "class_token": top.take("class_token")}

    def tensor(self, name: str) -> np.ndarray:
        if name not in self._tensors:
            raise UserError(f"tensor {name} is missing")
        return self._tensors.pop(name)


def _preprocessing(entry: Fields) -> Preprocessing:
    values = {f.name: entry.take(f.name) for f in fields(Preprocessing) if f.name != "crop"}
    crop: Any = tuple(entry.list("crop"))
    entry.finish()
    return Preprocessing(crop=crop, **values)


def _head_scales(entry: Fields) -> HeadScales:
    scales = HeadScales(tuple(entry.list("multiplier")), tuple(entry.list("shift")))
    entry.finish()
    return scales
