"""Elastic layers: full-size weights, of which a subnet uses the first rows and columns.

One latent weight per row serves all widths and both precisions; the step sizes, one per row and
precision, and the activation scales, one per tensor, are learned and shared by all subnets.
Scales are stored as natural logarithms, so that they stay positive.
"""

from collections.abc import Sequence
from math import log

import torch
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional

from nas.numerics.codes import INT16
from nas.supernet import gelu
from nas.supernet.linear import LinearCodes, linear, linear_codes
from nas.supernet.norm import SCALES
from nas.supernet.steps import best_step
from rtl.model import numerics

PIXEL = numerics.code_range(8, signed=False)[1]
"""Largest pixel; centred, no code of any tensor is larger."""


class Scale(nn.Module):
    """A learned scale: the real value of one code of a tensor.

    Parameters
    ----------
    initial : float
        Scale until it is calibrated on real values.
    limits : tuple of float, optional
        Lowest and highest scale that the integer model can express.
    """

    def __init__(self, initial: float = 0.05, *, limits: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.limits = limits
        self.log = nn.Parameter(torch.tensor(initial).log())

    @torch.no_grad()
    def calibrate(self, values: Tensor, limits: tuple[float, float]) -> None:
        """Choose the scale with the least squared error on ``values``, any shape."""
        self.log.copy_(best_step(values.reshape(1, -1), *limits).squeeze(0).log())
        self.limit()

    @torch.no_grad()
    def limit(self) -> None:
        """Set a scale that a step of training took beyond a limit back to it."""
        if self.limits:
            self.log.clamp_(*map(log, self.limits))


class ElasticLinear(nn.Module):
    """Linear layer of elastic rows and depth, with 4-bit and 8-bit row tiles.

    Parameters
    ----------
    rows, depth : int
        Full size.
    bias : bool
        Whether there is a learned bias. Keys have none: softmax cancels it.
    init_std : float
        Standard deviation of the initial weights.
    largest : int
        Bound of the magnitude of an input code.

    Members
    -------
    weight : (rows, depth) latent weights.
    bias : (rows,) or None.
    log_step : (2, rows) logarithms of the steps at 4 and at 8 bits.
    """

    def __init__(
        self,
        rows: int,
        depth: int,
        *,
        bias: bool = True,
        init_std: float = 0.02,
        largest: int = PIXEL,
    ) -> None:
        super().__init__()
        self.largest = largest
        self.weight = nn.Parameter(trunc_normal_(torch.empty(rows, depth), std=init_std))
        self.bias = nn.Parameter(torch.zeros(rows)) if bias else None
        self.log_step = nn.Parameter(torch.full((2, rows), init_std / 3).log())

    def slice(self, rows: int, depth: int) -> tuple[Tensor, Tensor | None]:
        """Return weights (rows, depth) and bias (rows,) of a subnet."""
        bias = None if self.bias is None else self.bias[:rows]
        return self.weight[:rows, :depth], bias

    def step(self, bits8: Tensor) -> Tensor:
        """Return (rows,) the logarithm of each row's step; ``bits8`` (rows,) marks 8-bit rows."""
        steps = self.log_step[:, : bits8.shape[0]]
        return torch.where(bits8, steps[1], steps[0])

    def forward(self, x: Tensor, rows: int) -> Tensor:
        """Float mode: (..., depth) real values to (..., rows)."""
        return functional.linear(x, *self.slice(rows, x.shape[-1]))

    def quantized(
        self,
        x: Tensor,
        bits8: Tensor,
        *,
        log_in: Tensor,
        log_out: Tensor,
        limits: tuple[float, float] = INT16,
    ) -> Tensor:
        """Quantized mode: (..., depth) centred codes to (..., rows) codes.

        ``bits8`` (rows,) marks 8-bit rows and gives their number. ``log_out`` is a scalar or
        (rows,): layer scaling enters there.
        """
        weight, bias = self.slice(bits8.shape[0], x.shape[-1])
        return linear(
            x,
            weight,
            bias,
            log_step=self.step(bits8),
            log_in=log_in,
            log_out=log_out,
            bits8=bits8,
            largest=self.largest,
            limits=limits,
        )

    @torch.no_grad()
    def codes(self, depth: int, bits8: Tensor, log_in: Tensor, log_out: Tensor) -> LinearCodes:
        """Return the stored constants of a subnet's layer, as :meth:`quantized` uses them."""
        weight, bias = self.slice(bits8.shape[0], depth)
        return linear_codes(weight, bias, self.step(bits8), log_in, log_out, bits8)

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set the steps of both precisions to those of the least squared error."""
        for index, bits in enumerate(numerics.WEIGHT_BITS):
            limits = numerics.code_range(bits, signed=True)
            self.log_step[index] = best_step(self.weight, *limits).log()


class ElasticBlock(nn.Module):
    """Transformer block: attention and MLP, each with layer scaling, of elastic size.

    Parameters
    ----------
    width, heads, head_dim, hidden : int
        Full size.
    act_bits : int
        Bits of hidden activations.
    signed_hidden : bool
        Whether the code after GELU is signed instead of having a zero point.
    switches : tuple of int
        Shape of the choices of layer scaling; () has one for all subnets.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int,
        hidden: int,
        *,
        act_bits: int,
        signed_hidden: bool = False,
        switches: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        inner = heads * head_dim
        self.head_dim, self.act_bits, self.signed_hidden = head_dim, act_bits, signed_hidden
        spread, signed = width**-0.5, 1 << (act_bits - 1)
        self.q = ElasticLinear(inner, width, init_std=spread, largest=signed)
        self.k = ElasticLinear(inner, width, bias=False, init_std=spread, largest=signed)
        self.v = ElasticLinear(inner, width, init_std=spread, largest=signed)
        self.proj = ElasticLinear(width, inner, init_std=inner**-0.5, largest=signed)
        self.fc1 = ElasticLinear(hidden, width, init_std=spread, largest=signed)
        unsigned = (1 << act_bits) - 1
        self.fc2 = ElasticLinear(width, hidden, init_std=hidden**-0.5, largest=unsigned)
        # Layer scaling: a positive factor per channel, which folds into the row's multiplier.
        self.log_attention_gain = nn.Parameter(torch.zeros(*switches, width))
        self.log_mlp_gain = nn.Parameter(torch.zeros(*switches, width))
        self.norm1_scale, self.norm2_scale = Scale(limits=SCALES), Scale(limits=SCALES)
        self.q_scale, self.k_scale, self.v_scale = Scale(), Scale(), Scale()
        self.context_scale, self.fc1_scale, self.hidden_scale = Scale(), Scale(), Scale()

    @property
    def signed_limits(self) -> tuple[int, int]:
        """Range of a signed activation code."""
        return numerics.code_range(self.act_bits, signed=True)

    @property
    def hidden_zero(self) -> Tensor:
        """Zero point of the hidden code, scalar."""
        return gelu.hidden_zero(self.hidden_scale.log, self.signed_hidden)

    @property
    def hidden_limits(self) -> tuple[Tensor, Tensor]:
        """Range of the *centred* hidden code, scalars."""
        low, high = numerics.code_range(self.act_bits, self.signed_hidden)
        zero = self.hidden_zero
        return low - zero, high - zero


def row_mask(tiles: Sequence[bool], granularity: int, rows: int) -> Tensor:
    """Spread width flags of row tiles over their rows: (rows,) bool."""
    return torch.tensor(tiles).repeat_interleave(granularity)[:rows]
