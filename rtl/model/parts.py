"""The parts of an integer model: matrices, LayerNorms, scales, blocks.

Each part has a ``check`` that compares everything it holds with what docs/format.md and
docs/numerics.md allow, and names the tensor, the value and the limit.
"""

from dataclasses import dataclass, fields

import numpy as np

from rtl.errors import UserError
from rtl.model import checks
from rtl.model.file import Header
from rtl.model.numerics import (
    ACC_BITS,
    KV_BITS,
    MULTIPLIER_BITS,
    NORM_EXPONENT_BITS,
    SHIFT_MAX,
    code_range,
)
from rtl.model.shape import LAYERS

SIZE_MAX = 1 << 16  # of any count without a tighter limit
RESIZE_MAX = 4096
RESIDUAL_SHIFT_MAX = 15
NORM_SHIFT_MAX = 15
CONTEXT_SHIFT_MAX = 28
ACC_LIMIT = 1 << (ACC_BITS - 1)
SCALE_DTYPES = {"bias": "int32", "multiplier": "uint32", "shift": "uint8"}
LINEAR_DTYPES = {"weight": "int8", "bits": "uint8", **SCALE_DTYPES}
CHANNELS = {"L": 1, "RGB": 3}


@dataclass(frozen=True, eq=False)
class Linear:
    """A matrix with one width and one dyadic scale per row (numerics section 2).

    Parameters
    ----------
    weight : (rows, depth) int8
    bits : (rows,) uint8
        4 or 8; a 4-bit row holds -8 ... 7.
    bias : (rows,) int32
    multiplier : (rows,) uint32
        17 bits.
    shift : (rows,) uint8
        1 ... 47.
    residual_shift : int
        Left shift of the result before it is added to the residual stream; 0 in layers that do
        not write that.
    """

    weight: np.ndarray
    bits: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    residual_shift: int = 0

    @property
    def rows(self) -> int:
        return self.weight.shape[0]

    @property
    def depth(self) -> int:
        return self.weight.shape[1]

    def bits8(self, row_granularity: int) -> tuple[bool, ...]:
        """Width flag of each tile of rows: whether it holds 8-bit weights."""
        starts = np.arange(0, self.rows, row_granularity)
        return tuple((np.maximum.reduceat(self.bits, starts) == 8).tolist())

    def check(self, name: str, size: tuple[int, int], granularity: int, largest: int) -> None:
        """Check everything about this layer.

        Parameters
        ----------
        name : str
            Name of the part in messages, such as ``blocks.0.fc1``.
        size : tuple of int
            Expected (rows, depth).
        granularity : int
            Rows per tile of one width.
        largest : int
            Largest magnitude of an input code.
        """
        for key, dtype in LINEAR_DTYPES.items():
            shape = size if key == "weight" else size[:1]
            checks.tensor(f"{name}.{key}", getattr(self, key), dtype, shape)
        _check_scales(name, self)
        checks.integer(f"{name}.residual_shift", self.residual_shift, 0, RESIDUAL_SHIFT_MAX)
        self._check_bits(name, granularity)
        self._check_accumulators(name, largest)

    def _check_bits(self, name: str, granularity: int) -> None:
        for row in np.flatnonzero((self.bits != 4) & (self.bits != 8)):
            raise UserError(f"tensor {name}.bits[{row}] is {self.bits[row]}: it must be 4 or 8")
        first = self.bits[np.arange(self.rows) // granularity * granularity]
        for row in np.flatnonzero(self.bits != first):
            raise UserError(
                f"tensor {name}.bits[{row}] is {self.bits[row]}, but row"
                f" {row // granularity * granularity} of its tile has {first[row]}:"
                f" {granularity} rows (row_granularity) share a width"
            )
        low, high = code_range(4, signed=True)
        outside = (self.bits == 4)[:, None] & ((self.weight < low) | (self.weight > high))
        for row, column in np.argwhere(outside):
            raise UserError(
                f"tensor {name}.weight[{row}, {column}] is {self.weight[row, column]}:"
                f" a 4-bit weight must be {low} to {high}"
            )

    def _check_accumulators(self, name: str, largest: int) -> None:
        magnitudes = np.abs(self.weight.astype(np.int16)).sum(axis=1, dtype=np.int64)
        totals = magnitudes * largest + np.abs(self.bias.astype(np.int64))
        for row in np.flatnonzero(totals >= ACC_LIMIT):
            raise UserError(
                f"{name} row {row}: |bias| + sum |weight| * {largest} is {totals[row]}: it must be"
                f" less than {ACC_LIMIT} for an accumulator of {ACC_BITS} bits"
            )


@dataclass(frozen=True, eq=False)
class Norm:
    """LayerNorm without affine parameters (numerics section 4).

    Parameters
    ----------
    epsilon, gain, shift : int
    zero : int
        Zero point of an unsigned output code; 0 if it is signed.
    signed : bool
    exponent : (width,) uint8
        Right shift per channel on top of the common one, 0 ... 3.
    """

    epsilon: int
    gain: int
    shift: int
    zero: int
    signed: bool
    exponent: np.ndarray

    def range(self, act_bits: int) -> tuple[int, int]:
        """Lowest and highest output code."""
        return code_range(act_bits, self.signed)

    def centre(self, act_bits: int) -> int:
        """Middle of the code's range; a code minus this fits int8, whatever ``act_bits``."""
        return 0 if self.signed else 1 << (act_bits - 1)

    def header(self) -> Header:
        return {key: getattr(self, key) for key in ("epsilon", "gain", "shift", "zero", "signed")}

    def check(self, name: str, width: int, act_bits: int) -> None:
        checks.integer(f"{name}.epsilon", self.epsilon, 1, (1 << 32) - 1)
        checks.integer(f"{name}.gain", self.gain, 1 << 15, (1 << 16) - 1)
        checks.integer(f"{name}.shift", self.shift, 0, NORM_SHIFT_MAX)
        _check_code(name, self.signed, self.zero, act_bits)
        checks.tensor(f"{name}.exponent", self.exponent, "uint8", (width,))
        checks.values(f"{name}.exponent", self.exponent, 0, (1 << NORM_EXPONENT_BITS) - 1)


@dataclass(frozen=True, eq=False)
class Pool:
    """The mean of the patch tokens, with one dyadic scale per channel (numerics section 7).

    Parameters
    ----------
    bias : (width,) int32
    multiplier : (width,) uint32
        17 bits.
    shift : (width,) uint8
        1 ... 47.
    """

    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray

    def check(self, name: str, width: int, patches: int) -> None:
        """Check everything; the sum is over ``patches`` tokens."""
        for key, dtype in SCALE_DTYPES.items():
            checks.tensor(f"{name}.{key}", getattr(self, key), dtype, (width,))
        _check_scales(name, self)
        largest = 1 << (KV_BITS - 1)
        totals = np.abs(self.bias.astype(np.int64)) + patches * largest
        for channel in np.flatnonzero(totals >= ACC_LIMIT):
            raise UserError(
                f"{name} channel {channel}: |bias| + {patches} patches * {largest} is"
                f" {totals[channel]}: it must be less than {ACC_LIMIT} for an accumulator of"
                f" {ACC_BITS} bits"
            )


@dataclass(frozen=True)
class HeadScales:
    """A multiplier and a shift per head: of softmax or of the context (numerics section 5)."""

    multiplier: tuple[int, ...]
    shift: tuple[int, ...]

    def header(self) -> Header:
        return {"multiplier": list(self.multiplier), "shift": list(self.shift)}

    def check(self, name: str, heads: int, multipliers: tuple[int, int], shift_max: int) -> None:
        for key, low, high in (("multiplier", *multipliers), ("shift", 0, shift_max)):
            entries = getattr(self, key)
            if len(entries) != heads:
                raise UserError(f"{name}.{key} must have {heads} entries, not {len(entries)}")
            for head, entry in enumerate(entries):
                checks.integer(f"{name}.{key}[{head}]", entry, low, high)


@dataclass(frozen=True)
class Preprocessing:
    """Steps of :func:`sim.preprocessing.prepare`: convert, resize, crop, invert an image.

    Parameters
    ----------
    crop : (height, width)
        Size of the result in pixels, cut from the centre.
    mode : str
        ``"L"`` (one channel) or ``"RGB"``.
    resize : int, optional
        Pixels of the shorter side after resizing; without it the image keeps its size.
    interpolation : str
        ``"bilinear"`` or ``"bicubic"``.
    invert : bool
        Replace x by 255 - x.
    """

    crop: tuple[int, int]
    mode: str
    resize: int | None = None
    interpolation: str = "bilinear"
    invert: bool = False

    def header(self) -> Header:
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "crop": list(self.crop)}

    def check(self, image: tuple[int, int, int]) -> None:
        checks.choice("preprocessing.mode", self.mode, tuple(CHANNELS))
        checks.choice("preprocessing.interpolation", self.interpolation, ("bilinear", "bicubic"))
        checks.boolean("preprocessing.invert", self.invert)
        for size in self.crop:
            checks.integer("preprocessing.crop", size, 1, SIZE_MAX)
        if (*self.crop, CHANNELS[self.mode]) != image:
            raise UserError(
                f"preprocessing gives {checks.shown(self.crop)} pixels of mode {self.mode},"
                f" the network takes (height, width, channels) {image}"
            )
        if self.resize is not None:
            checks.integer("preprocessing.resize", self.resize, min(self.crop), RESIZE_MAX)


@dataclass(frozen=True, eq=False)
class Block:
    """One transformer block: LayerNorm, attention, projection, LayerNorm, MLP.

    ``gelu`` is (256,) int16: the hidden code of each int8 pre-activation. The hidden code is
    ``hidden_signed`` or unsigned with zero point ``hidden_zero``, which the table contains.
    """

    heads: int
    hidden: int
    norm1: Norm
    q: Linear
    k: Linear
    v: Linear
    softmax: HeadScales
    context: HeadScales
    proj: Linear
    norm2: Norm
    fc1: Linear
    gelu: np.ndarray
    hidden_signed: bool
    hidden_zero: int
    fc2: Linear

    def hidden_range(self, act_bits: int) -> tuple[int, int]:
        """Lowest and highest code after GELU."""
        return code_range(act_bits, self.hidden_signed)

    def linears(self) -> dict[str, Linear]:
        """Layers by name, in the order of their execution."""
        return {name: getattr(self, name) for name in LAYERS}

    def header(self) -> Header:
        return {
            "heads": self.heads,
            "hidden": self.hidden,
            "norm1": self.norm1.header(),
            "norm2": self.norm2.header(),
            "softmax": self.softmax.header(),
            "context": self.context.header(),
            "proj": {"residual_shift": self.proj.residual_shift},
            "hidden_code": {"signed": self.hidden_signed, "zero": self.hidden_zero},
            "fc2": {"residual_shift": self.fc2.residual_shift},
        }

    def check(
        self, name: str, sizes: dict[str, tuple[int, int]], granularity: int, act_bits: int
    ) -> None:
        """Check everything about this block; ``sizes`` are its layers' (rows, depth)."""
        width = sizes["q"][1]
        self.norm1.check(f"{name}.norm1", width, act_bits)
        self.norm2.check(f"{name}.norm2", width, act_bits)
        self.softmax.check(
            f"{name}.softmax", self.heads, (1, (1 << MULTIPLIER_BITS) - 1), SHIFT_MAX
        )
        self.context.check(
            f"{name}.context", self.heads, (1 << 15, (1 << 16) - 1), CONTEXT_SHIFT_MAX
        )
        _check_code(f"{name}.hidden_code", self.hidden_signed, self.hidden_zero, act_bits)
        checks.tensor(f"{name}.gelu", self.gelu, "int16", (1 << KV_BITS,))
        checks.values(f"{name}.gelu", self.gelu, *self.hidden_range(act_bits))
        for layer, linear in self.linears().items():
            largest = magnitude(self.input_range(layer, act_bits))
            linear.check(f"{name}.{layer}", sizes[layer], granularity, largest)
        check_no_residual({f"{name}.{key}": getattr(self, key) for key in ("q", "k", "v", "fc1")})

    def input_range(self, layer: str, act_bits: int) -> tuple[int, int]:
        """Lowest and highest code at the input of a layer."""
        return {
            "proj": code_range(act_bits, signed=True),
            "fc1": self.norm2.range(act_bits),
            "fc2": self.hidden_range(act_bits),
        }.get(layer, self.norm1.range(act_bits))


def magnitude(code: tuple[int, int]) -> int:
    """Largest absolute value of a code."""
    return max(-code[0], code[1])


def _check_scales(name: str, part: Linear | Pool) -> None:
    checks.values(f"{name}.multiplier", part.multiplier, 0, (1 << MULTIPLIER_BITS) - 1)
    checks.values(f"{name}.shift", part.shift, 1, SHIFT_MAX)


def _check_code(name: str, signed: object, zero: object, act_bits: int) -> None:
    checks.boolean(f"{name}.signed", signed)
    checks.integer(f"{name}.zero", zero, 0, 0 if signed else (1 << act_bits) - 1)


def check_no_residual(linears: dict[str, Linear]) -> None:
    """These layers do not write the residual stream; the file has no place for their shift."""
    for name, linear in linears.items():
        checks.integer(f"{name}.residual_shift", linear.residual_shift, 0, 0)
