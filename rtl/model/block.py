"""One transformer block of an integer model.

Source: docs/numerics.md, sections 4 to 6.
"""

from dataclasses import dataclass, replace

import numpy as np

from boards.host import checks
from rtl.errors import UserError
from rtl.model.file import Header
from rtl.model.numerics import KV_BITS, MULTIPLIER_BITS, SHIFT_MAX, code_range
from rtl.model.parts import HeadScales, Linear, Norm, check_code, check_no_residual, magnitude
from rtl.model.shape import LAYERS

CONTEXT_SHIFT_MAX = 28
TABLE_ENTRIES = 1 << KV_BITS


@dataclass(frozen=True, eq=False)
class Block:
    """One transformer block: LayerNorm, attention, projection, LayerNorm, MLP.

    Parameters
    ----------
    heads, hidden : int
    norm1, norm2 : Norm
    q, k, v, proj, fc1, fc2 : Linear
        In a block that pools, ``q`` has depth 0: its result is the one query, the same for every
        image.
    softmax, context : HeadScales
    gelu : (256,) or (2, 256) int16
        Hidden code of each int8 pre-activation: for all hidden units, or for those below
        ``first_units`` and for the others.
    hidden_signed : bool
        Whether the hidden code is signed.
    hidden_zero, second_zero : int
        Zero points of an unsigned hidden code, which the tables contain; 0 where it is signed, and
        where there is no second table.
    first_units : int, optional
        Hidden units of the first of two tables, a multiple of the model's ``row_granularity``.
    keep : int, optional
        Patch tokens that remain behind attention and projection; None where all do.
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
    first_units: int | None = None
    second_zero: int = 0
    keep: int | None = None

    @property
    def pools(self) -> bool:
        """Whether the query is constant, so that one token comes out (numerics section 7)."""
        return self.q.depth == 0

    def tables(self) -> tuple[tuple[slice, np.ndarray], ...]:
        """Hidden units and the (256,) table that they use, one behind the other."""
        if self.first_units is None:
            return ((slice(0, self.hidden), self.gelu),)
        units = slice(0, self.first_units), slice(self.first_units, self.hidden)
        return tuple(zip(units, self.gelu, strict=True))

    def filled(self, row_granularity: int) -> "Block":
        """Return a block whose second table begins at a multiple of ``row_granularity``.

        Hidden units of weight 0 fill up those of the first table: every result stays as it is.
        """
        if self.first_units is None or not (more := -self.first_units % row_granularity):
            return self
        at = np.full(more, self.first_units)
        fc1, fc2 = self.fc1, self.fc2
        empty = {"weight": 0, "bits": fc1.bits[self.first_units - 1], "bias": 0}
        empty |= {"multiplier": 0, "shift": 1}
        rows = {name: np.insert(getattr(fc1, name), at, value, 0) for name, value in empty.items()}
        return replace(
            self,
            hidden=self.hidden + more,
            first_units=self.first_units + more,
            fc1=replace(fc1, **rows),
            fc2=replace(fc2, weight=np.insert(fc2.weight, at, 0, 1)),
        )

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
            "hidden_code": self._hidden_code(),
            "fc2": {"residual_shift": self.fc2.residual_shift},
            **({} if self.keep is None else {"keep": self.keep}),
        }

    def _hidden_code(self) -> Header:
        code = {"signed": self.hidden_signed, "zero": self.hidden_zero}
        if self.first_units is None:
            return code
        return code | {"first_units": self.first_units, "second_zero": self.second_zero}

    def check(
        self, name: str, sizes: dict[str, tuple[int, int]], granularity: int, act_bits: int
    ) -> None:
        """Check everything about this block; ``sizes`` are its layers' (rows, depth)."""
        width = sizes["k"][1]
        self.norm1.check(f"{name}.norm1", width, act_bits)
        self.norm2.check(f"{name}.norm2", width, act_bits)
        self.softmax.check(
            f"{name}.softmax", self.heads, (1, (1 << MULTIPLIER_BITS) - 1), SHIFT_MAX
        )
        self.context.check(
            f"{name}.context", self.heads, (1 << 15, (1 << 16) - 1), CONTEXT_SHIFT_MAX
        )
        self._check_tables(name, granularity, act_bits)
        for layer, linear in self.linears().items():
            largest = magnitude(self.input_range(layer, act_bits))
            linear.check(f"{name}.{layer}", sizes[layer], granularity, largest)
        check_no_residual({f"{name}.{key}": getattr(self, key) for key in ("q", "k", "v", "fc1")})

    def _check_tables(self, name: str, granularity: int, act_bits: int) -> None:
        signed, first = self.hidden_signed, self.first_units
        check_code(f"{name}.hidden_code", signed, self.hidden_zero, act_bits)
        largest = (1 << act_bits) - 1 if first is not None and not signed else 0
        checks.integer(f"{name}.hidden_code.second_zero", self.second_zero, 0, largest)
        if first is not None:
            units = f"{name}.hidden_code.first_units"
            checks.integer(units, first, 1, self.hidden - 1)
            if first % granularity:
                raise UserError(
                    f"{units} is {first}: it must be a multiple of {granularity}"
                    " (row_granularity), as the rows of a tile share a GELU table"
                )
        shape = (TABLE_ENTRIES,) if first is None else (2, TABLE_ENTRIES)
        checks.tensor(f"{name}.gelu", self.gelu, "int16", shape)
        checks.values(f"{name}.gelu", self.gelu, *self.hidden_range(act_bits))

    def input_range(self, layer: str, act_bits: int) -> tuple[int, int]:
        """Lowest and highest code at the input of a layer."""
        return {
            "proj": code_range(act_bits, signed=True),
            "fc1": self.norm2.range(act_bits),
            "fc2": self.hidden_range(act_bits),
        }.get(layer, self.norm1.range(act_bits))
