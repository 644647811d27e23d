"""Sizes of the subnets of a space: those of the package, or of a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError
from pydantic_core import PydanticCustomError

from nas.digits import DIGITS, KEEPING_DIGITS
from nas.keep import Keep
from nas.space import Space
from rtl.errors import UserError

Record = TypeVar("Record", bound=BaseModel)


def _number(value: Any) -> Any:
    """Refuse what pydantic would take for a number: a text, or a truth value."""
    if type(value) not in (int, float):
        raise PydanticCustomError("number", "Input should be a number")
    return value


Rising = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Number = Annotated[Keep, BeforeValidator(_number)]
MOST_WIDTHS = 4  # more share their weights less well


class SpaceSizes(BaseModel):
    """Choices of a space, without what the images decide.

    Parameters
    ----------
    head_dim : int
        Dimensions per head.
    widths, depths, heads : tuple of int
        Choices of embedding width, at most four, of number of blocks, and of heads per block.
    mlp_ratios : tuple of float
        Choices of hidden units over width, per block.
    fractions : tuple of float
        Choices of the fraction of 8-bit row tiles, per matrix.
    row_granularity : int
        Rows of a tile.
    pool : str
        Input of the head: ``token``, the class token, or ``mean``, that of the patches.
    keeps : tuple of int or float, optional
        Choices of the patches that stay behind a block, beside all of them: shares below 1 of those
        that enter it, or their numbers. None has no such choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    head_dim: PositiveInt
    widths: Annotated[Rising, Field(max_length=MOST_WIDTHS)]
    depths: Rising
    heads: Rising
    mlp_ratios: Annotated[tuple[float, ...], Field(min_length=1)]
    fractions: Annotated[tuple[float, ...], Field(min_length=1)] = (0.0, 0.5, 1.0)
    row_granularity: PositiveInt = 16
    pool: Literal["token", "mean"] = "token"
    keeps: Annotated[tuple[Number, ...], Field(min_length=1)] | None = None

    def space(self, image: tuple[int, int, int], patch: int, classes: int) -> Space:
        """Make the space of images of a size.

        Raises
        ------
        UserError
            If the choices do not rise, or patches do not fit the image.
        """
        sizes = self.model_dump(exclude_none=True)
        try:
            return Space(image=image, patch=patch, classes=classes, **sizes)
        except ValueError as error:
            raise UserError(f"the space cannot be used: {error}") from None


def sizes_of(space: Space) -> SpaceSizes:
    """Return the sizes of a space, as a task's file has them."""
    sizes: dict[str, Any] = {name: getattr(space, name) or None for name in SpaceSizes.model_fields}
    return SpaceSizes(**sizes)


SIZES = {
    "digits": sizes_of(DIGITS),
    "digits-keep": sizes_of(KEEPING_DIGITS),
    "tiny": SpaceSizes(
        head_dim=64,
        widths=(128, 160, 192),
        depths=(8, 10, 12),
        heads=(2, 3),
        mlp_ratios=(3, 4),
        row_granularity=32,
    ),
    "small": SpaceSizes(
        head_dim=64,
        widths=(256, 320, 384),
        depths=(10, 11, 12),
        heads=(4, 5, 6),
        mlp_ratios=(3, 4),
        row_granularity=32,
    ),
}
"""Sizes of the digits' spaces, and up to those of DeiT-Tiny and of DeiT-Small."""


def load_sizes(name: str) -> SpaceSizes:
    """Look sizes up by their name, in any case, or read them from a ``.toml`` file.

    Raises
    ------
    UserError
        If there are none of that name, or the file is wrong: names the field.
    """
    if name.lower().endswith(".toml"):
        return parsed(SpaceSizes, read_toml(Path(name)), name)
    if name.lower() not in SIZES:
        raise UserError(
            f"unknown space {name!r}: choose one of {', '.join(SIZES)}, or a path ending in .toml"
        )
    return SIZES[name.lower()]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; ``UserError`` says why it is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise UserError(f"{path}: not a TOML file: {error}") from None


def parsed(kind: type[Record], values: dict[str, Any], origin: str) -> Record:
    """Make a record of a file's values.

    Raises
    ------
    UserError
        If one is wrong: names file, field and value.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise UserError(f"{origin}: {field} is missing") from None
        if first["type"] == "extra_forbidden":
            raise UserError(f"{origin}: {field}: no such field") from None
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise UserError(f"{origin}: {field} = {first['input']!r}: {reason}") from None
