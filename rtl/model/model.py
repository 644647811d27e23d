"""The integer model: all that an interpreter, compiler or host needs, and nothing else.

A model that exists is valid: the constructor of :class:`IntegerModel` checks names, types, shapes,
ranges and accumulator bounds, whether the parts come from a file or from an exporter.

Source: docs/format.md (the file), docs/numerics.md (what the values mean).
"""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from boards.host import checks
from boards.host.preprocessing import Preprocessing
from rtl.errors import UserError
from rtl.model import file as model_file
from rtl.model.block import Block
from rtl.model.decode import decode
from rtl.model.features import ALL, ATTENTION, Features
from rtl.model.file import Header, Tensors
from rtl.model.keep import check_keep
from rtl.model.numerics import ACT_BITS, KV_BITS, MAX_TOKENS, MAX_WIDTH, SCORE_BITS
from rtl.model.parts import LINEAR_DTYPES, SIZE_MAX, Classifier, Front, Linear, Norm
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
    patch, width, head_dim : int
    embed : Linear
        Patch embedding, (width, patch * patch * channels).
    position : (tokens, width) int16
        Preloads the residual stream: patches, then registers; the last row is class token plus its
        position, where there is one.
    blocks : tuple of Block
    output : Classifier or Features
        Logits, or the residual words of the tokens behind the last block: of all, or of the one
        that it pools them to.
    class_names : tuple of str
        One for each class; with :class:`Features`, of the outputs of the network that follows, or
        none.
    preprocessing : Preprocessing
    producer : str
    info : dict
        How the model was made; JSON values, not used by numerics.
    class_token : bool
        False only where nothing but the patches, or every token, is put out.
    registers : int
        Tokens between patches and class token that have no patch.
    front : Front, optional
        LayerNorm and matrix between the patch embedding and the blocks.

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
    embed: Linear
    position: np.ndarray
    blocks: tuple[Block, ...]
    output: Classifier | Features
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    producer: str
    info: dict[str, Any] = field(default_factory=dict)
    class_token: bool = True
    registers: int = 0
    front: Front | None = None

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_description()
        self._check_layers()
        self._check_class_names()

    @classmethod
    def load(cls, path: Path | str) -> "IntegerModel":
        """Read and check a file; ``UserError`` names the path and what does not hold."""
        try:
            header, tensors = model_file.read(path)
            model = cls(**decode(header, tensors))
            if model.format != header["format"]:
                raise UserError(
                    f"format is {header['format']}, but nothing in it needs more than format"
                    f" {model.format}: it must be {model.format}"
                )
            return model
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
    def format(self) -> int:
        """Lowest format of a file that can hold the model."""
        if any(block.keep is not None for block in self.blocks):
            return 4
        if self.front is not None or self.output.pool == ATTENTION:
            return 3
        tables = any(block.first_units is not None for block in self.blocks)
        new = isinstance(self.output, Features) or tables or self.registers
        return 2 if new else self.preprocessing.format

    @property
    def classifier(self) -> Classifier:
        """The output, where it is logits; ``ValueError`` where it is tokens."""
        if isinstance(self.output, Features):
            raise ValueError("the output is tokens: there is no classifier")
        return self.output

    @property
    def classes(self) -> int:
        """Logits per image; 0 where the output is tokens."""
        return 0 if isinstance(self.output, Features) else self.output.classes

    @property
    def output_tensor(self) -> str:
        """Name of the tensor of docs/numerics.md, section 8, that is the output."""
        tokens = isinstance(self.output, Features)
        return f"blocks.{len(self.blocks) - 1}.output" if tokens else "logits"

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
        front = {} if self.front is None else {"front": self.front.layer}
        head = {} if isinstance(self.output, Features) else {"head": self.output.head}
        return {"embed": self.embed, **front, **blocks, **head}

    def norms(self) -> dict[str, Norm]:
        """All LayerNorms of the engine by their full name, in the order of their execution."""
        found = {} if self.front is None else {"front.norm": self.front.norm}
        for i, block in enumerate(self.blocks):
            found |= {f"blocks.{i}.norm1": block.norm1, f"blocks.{i}.norm2": block.norm2}
        return found if isinstance(self.output, Features) else found | {"norm": self.output.norm}

    def header(self) -> Header:
        """The file's JSON header, without ``hash``."""
        height, width, channels = self.image
        header = {
            "format": self.format,
            "producer": self.producer,
            "act_bits": self.act_bits,
            "row_granularity": self.row_granularity,
            "image": {"height": height, "width": width, "channels": channels},
            "patch": self.patch,
            "width": self.width,
            "head_dim": self.head_dim,
            "blocks": [block.header() for block in self.blocks],
            "embed": {"residual_shift": self.embed.residual_shift},
            "class_names": list(self.class_names),
            "preprocessing": self.preprocessing.header(self.format),
            # A round trip, so that tuples and integer keys hash as they will read back.
            "info": json.loads(model_file.canonical_json(self.info)),
        }
        if self.format > 1:
            header |= {"output": "logits", "registers": self.registers}
        if self.format > 2:
            header["front"] = self.front and {"norm": self.front.norm.header()}
        return header | self.output.header(self.class_token)

    def tensors(self) -> Tensors:
        """The file's tensors by name."""
        tensors = {"position": self.position, **self.output.tensors()}
        for name, linear in self.linears().items():
            tensors |= {f"{name}.{key}": getattr(linear, key) for key in LINEAR_DTYPES}
        tensors |= {f"{name}.exponent": norm.exponent for name, norm in self.norms().items()}
        return tensors | {f"blocks.{i}.gelu": block.gelu for i, block in enumerate(self.blocks)}

    def _shape(self, bits8: bool = False) -> NetworkShape:
        def flags(linear: Linear) -> tuple[bool, ...]:
            return linear.bits8(self.row_granularity) if bits8 else ()

        blocks = tuple(
            BlockShape(
                block.heads,
                block.hidden,
                tuple((name, flags(linear)) for name, linear in block.linears().items()),
                block.first_units,
                block.keep,
            )
            for block in self.blocks
        )
        head = None if isinstance(self.output, Features) else self.output
        return NetworkShape(
            image=self.image,
            patch=self.patch,
            width=self.width,
            head_dim=self.head_dim,
            classes=self.classes,
            row_granularity=self.row_granularity,
            blocks=blocks,
            embed_bits8=flags(self.embed),
            head_bits8=flags(head.head) if head else (),
            front_bits8=None if self.front is None else flags(self.front.layer),
            mean_pool=head is not None and head.pool is not None,
            class_token=self.class_token,
            registers=self.registers,
            dense=head is None,
            attention_pool=self.output.pool == ATTENTION,
            indexed=self.output.pool == ALL and any(block.keep for block in self.blocks),
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
        self._check_tokens()
        checks.integer("width", self.width, 1, MAX_WIDTH)
        # The whole range of both operands has to fit the raw scores.
        score_limit = 1 << (SCORE_BITS - self.act_bits - KV_BITS + 1)
        checks.integer("head_dim", self.head_dim, 1, score_limit - 1)
        if not self.blocks:
            raise UserError("blocks must have at least one block, not 0")
        for i, block in enumerate(self.blocks):
            checks.integer(f"blocks.{i}.heads", block.heads, 1, SIZE_MAX)
            checks.integer(f"blocks.{i}.hidden", block.hidden, 1, SIZE_MAX)
        check_keep(self._shape(), mean_features=self.output.pool == "mean")

    def _check_tokens(self) -> None:
        checks.boolean("class_token", self.class_token)
        token = self.output.pool in (None, "token")
        if token and not self.class_token:
            raise UserError("pool token needs a class token: class_token must be true, not False")
        checks.integer("registers", self.registers, 0, MAX_TOKENS)
        kinds = ("patches", "registers" * (self.registers > 0), "class token" * self.class_token)
        what = " and ".join(", ".join(kind for kind in kinds if kind).rsplit(", ", 1))
        others = self.registers + self.class_token
        patches = (self.image[0] // self.patch) * (self.image[1] // self.patch)
        checks.integer(f"tokens ({what})", patches + others, 1 + others, MAX_TOKENS)

    def _check_description(self) -> None:
        checks.text("producer", self.producer)
        self.preprocessing.check(self.image)
        if type(self.info) is not dict:
            raise UserError(f"info must be an object, not {checks.shown(self.info)}")

    def _check_layers(self) -> None:
        shape, granularity = self._shape(), self.row_granularity
        checks.tensor("position", self.position, "int16", (shape.tokens, shape.width))
        self.embed.check("embed", (shape.width, shape.patch_values), granularity, PIXEL_MAX)
        if self.front is not None:
            self.front.check(shape.width, granularity, self.act_bits)
        for i, block in enumerate(self.blocks):
            block.check(f"blocks.{i}", shape.layer_sizes(i), granularity, self.act_bits)
        if isinstance(self.output, Features):
            self.output.check(shape.width)
        else:
            self.output.check(shape.width, shape.patches, granularity, self.act_bits)

    def _check_class_names(self) -> None:
        if not isinstance(self.output, Features) and len(self.class_names) != self.classes:
            raise UserError(
                f"class_names must have {self.classes} entries, not {len(self.class_names)}"
            )
        for i, name in enumerate(self.class_names):
            checks.text(f"class_names[{i}]", name)


def repack(model: IntegerModel, row_granularity: int) -> IntegerModel:
    """Widen row tiles so that every aligned group of ``row_granularity`` rows has one width.

    A 4-bit row that shares a group with an 8-bit row becomes an 8-bit row of the same integers:
    the logits are equal, the weights take more bytes and cycles. Where a second GELU table begins
    within a group, hidden units of weight 0 fill up the first table's.
    """
    checks.integer("row_granularity", row_granularity, 1, MAX_WIDTH)

    def widened(linear: Linear) -> Linear:
        starts = np.arange(0, linear.rows, row_granularity)
        bits = np.repeat(np.maximum.reduceat(linear.bits, starts), row_granularity)
        return replace(linear, bits=bits[: linear.rows])

    filled = (block.filled(row_granularity) for block in model.blocks)
    blocks = tuple(
        replace(block, **{name: widened(linear) for name, linear in block.linears().items()})
        for block in filled
    )
    output, front = model.output, model.front
    if not isinstance(output, Features):
        output = replace(output, head=widened(output.head))
    if front is not None:
        front = replace(front, layer=widened(front.layer))
    return replace(
        model,
        row_granularity=row_granularity,
        embed=widened(model.embed),
        blocks=blocks,
        output=output,
        front=front,
    )
