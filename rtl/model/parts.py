"""The parts of an integer model: matrices, LayerNorms, scales, the classifier.

Each part has a ``check`` that compares everything it holds with what docs/format.md and
docs/numerics.md allow, and names the tensor, the value and the limit.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from boards.host import checks
from rtl.errors import UserError
from rtl.model.file import Header, Tensors
from rtl.model.numerics import (
    ACC_BITS,
    KV_BITS,
    MULTIPLIER_BITS,
    NORM_EXPONENT_BITS,
    SHIFT_MAX,
    code_range,
)

SIZE_MAX = 1 << 16  # of any count without a tighter limit
RESIDUAL_SHIFT_MAX = 15
NORM_SHIFT_MAX = 15
ACC_LIMIT = 1 << (ACC_BITS - 1)
SCALE_DTYPES = {"bias": "int32", "multiplier": "uint32", "shift": "uint8"}
LINEAR_DTYPES = {"weight": "int8", "bits": "uint8", **SCALE_DTYPES}


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
        check_code(name, self.signed, self.zero, act_bits)
        checks.tensor(f"{name}.exponent", self.exponent, "uint8", (width,))
        checks.values(f"{name}.exponent", self.exponent, 0, (1 << NORM_EXPONENT_BITS) - 1)


@dataclass(frozen=True, eq=False)
class Front:
    """A LayerNorm in front of the blocks, and the matrix behind it (numerics section 3).

    Parameters
    ----------
    norm : Norm
        Of the stream that patches and positions make.
    layer : Linear
        (width, width); its result takes the place of the residual stream.
    """

    norm: Norm
    layer: Linear

    def check(self, width: int, granularity: int, act_bits: int) -> None:
        self.norm.check("front.norm", width, act_bits)
        largest = magnitude(self.norm.range(act_bits))
        self.layer.check("front", (width, width), granularity, largest)
        check_no_residual({"front": self.layer})


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


@dataclass(frozen=True, eq=False)
class Classifier:
    """The output ``logits``: final LayerNorm, perhaps a mean, and a linear layer (section 7).

    Parameters
    ----------
    classes : int
    norm : Norm
    head : Linear
        (classes, width).
    output_scale : float
        Real value of one logit code.
    pool : Pool, optional
        The mean that the head works on; without it, the head works on the class token.
    """

    classes: int
    norm: Norm
    head: Linear
    output_scale: float
    pool: Pool | None = None

    def header(self, class_token: bool) -> Header:
        said = {"pool": "token"}
        if self.pool is not None:
            said = {"pool": "mean", "class_token": class_token}
        return {
            **said,
            "classes": self.classes,
            "norm": self.norm.header(),
            "output_scale": self.output_scale,
        }

    def tensors(self) -> Tensors:
        """Tensors of the file that belong to no layer or LayerNorm of the model."""
        if self.pool is None:
            return {}
        return {f"pool.{key}": getattr(self.pool, key) for key in SCALE_DTYPES}

    def check(self, width: int, patches: int, granularity: int, act_bits: int) -> None:
        checks.integer("classes", self.classes, 1, SIZE_MAX)
        scale = self.output_scale
        if type(scale) not in (int, float) or not isfinite(scale) or scale <= 0:
            raise UserError(f"output_scale must be a positive number, not {checks.shown(scale)}")
        self.norm.check("norm", width, act_bits)
        codes = self.norm.range(act_bits)
        if self.pool is not None:
            self.pool.check("pool", width, patches)
            codes = code_range(act_bits, signed=True)
        self.head.check("head", (self.classes, width), granularity, magnitude(codes))
        check_no_residual({"head": self.head})


def magnitude(code: tuple[int, int]) -> int:
    """Largest absolute value of a code."""
    return max(-code[0], code[1])


def _check_scales(name: str, part: Linear | Pool) -> None:
    checks.values(f"{name}.multiplier", part.multiplier, 0, (1 << MULTIPLIER_BITS) - 1)
    checks.values(f"{name}.shift", part.shift, 1, SHIFT_MAX)


def check_code(name: str, signed: object, zero: object, act_bits: int) -> None:
    """Refuse a zero point outside the activation code that it belongs to."""
    checks.boolean(f"{name}.signed", signed)
    checks.integer(f"{name}.zero", zero, 0, 0 if signed else (1 << act_bits) - 1)


def check_no_residual(linears: dict[str, Linear]) -> None:
    """These layers do not write the residual stream; the file has no place for their shift."""
    for name, linear in linears.items():
        checks.integer(f"{name}.residual_shift", linear.residual_shift, 0, 0)
