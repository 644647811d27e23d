"""Quantizers of others for one kind of tensors each, beside what this pipeline does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nas.quantize.scales import DEFAULT_QUANTIZERS, Quantizers
from nas.studies import codes
from nas.studies.codes import CodeTable

NORM, HIDDEN, ATTENTION = "norm", "hidden", "attention"
KINDS = {NORM: "LayerNorm outputs", HIDDEN: "GELU outputs", ATTENTION: "attention weights"}


@dataclass(frozen=True)
class Variant:
    """A way to quantize one kind of tensors.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    name : str
    source : str
        Paper that it is of; empty where it is nobody's.
    choice : callable, optional
        The field of :class:`Quantizers` that is called as ``kind``; the default otherwise.
    tables : tuple of CodeTable
        For attention weights: the one of least squared error is taken, block by block.
    relative : bool
        As of :func:`nas.studies.codes.table_attention`.
    runs : bool
        On the engine as it is.
    whole : bool
        Whether it is measured in the whole quantized network, too.
    rotate : bool
        Whether the residual stream is rotated, and the heads.
    gelu_tables : int
        And scales of GELU's outputs, per block.
    """

    kind: str
    name: str
    source: str = ""
    choice: Callable[..., Any] | None = None
    tables: tuple[CodeTable, ...] = ()
    relative: bool = True
    runs: bool = False
    whole: bool = True
    rotate: bool = True
    gelu_tables: int = 2

    @property
    def baseline(self) -> bool:
        """The pipeline's own codes, or what they would be without rotation."""
        return not (self.choice or self.tables) and self.gelu_tables == 2

    def chosen(self, sample: Sequence[Tensor]) -> list[CodeTable]:
        """Return the table that each block's attention weights have, if any.

        Parameters
        ----------
        sample : sequence of (images, heads, tokens, tokens)
            Attention weights of each block.
        """
        if not self.tables:
            return []
        return [codes.best_table(self.tables, each, relative=self.relative) for each in sample]

    def quantizers(self, sample: Sequence[Tensor]) -> list[Quantizers]:
        """Return each block's quantizers; ``sample`` as of :meth:`chosen`."""
        if self.tables:
            found = [
                codes.table_attention(each, relative=self.relative) for each in self.chosen(sample)
            ]
            return [replace(DEFAULT_QUANTIZERS, attention=each) for each in found]
        changes = {self.kind: self.choice} if self.choice else {}
        return [replace(DEFAULT_QUANTIZERS, **changes)] * len(sample)


def variants(bits: int) -> list[Variant]:
    """Return all variants; a baseline stands in front of what is compared with it.

    Parameters
    ----------
    bits : int
        Of activations.
    """
    return [
        *(replace(each, rotate=rotate) for rotate in (True, False) for each in norm_variants()),
        *hidden_variants(bits),
        *attention_variants(bits),
    ]


def norm_variants() -> list[Variant]:
    """Codes of LayerNorm outputs."""
    largest, median = codes.shared(Tensor.amax), codes.shared(Tensor.median)
    return [
        Variant(NORM, "one scale, least squares", runs=True),
        Variant(NORM, "scale and zero per channel", "RepQ-ViT", codes.per_channel),
        Variant(NORM, "power-of-two factors", "FQ-ViT", codes.power_of_two, runs=True),
        Variant(NORM, "one scale, maximum", "", largest, runs=True, whole=False),
        Variant(NORM, "one scale, median", "DopQ-ViT", median, runs=True, whole=False),
    ]


def hidden_variants(bits: int) -> list[Variant]:
    """Codes of GELU outputs."""
    adaptive = Variant(
        HIDDEN, "log, adaptive base, two scales", "AdaLog", codes.table_hidden(bases(bits))
    )
    return [
        Variant(HIDDEN, "uniform, two tables", runs=True),
        Variant(HIDDEN, "uniform, one table", runs=True, gelu_tables=1),
        Variant(HIDDEN, "log2, two scales", "AdaLog", codes.table_hidden(log2(bits)), whole=False),
        adaptive,
        replace(adaptive, name="log, adaptive base, one scale", gelu_tables=1, whole=False),
    ]


def attention_variants(bits: int) -> list[Variant]:
    """Codes of attention weights: of what each is of its query's largest, or of 1."""
    curves = tuple(codes.tangent(bits, curve) for curve in codes.CURVES)
    adaptive = Variant(
        ATTENTION, "log, adaptive base, of the largest", "AdaLog", tables=bases(bits)
    )
    tangent = Variant(ATTENTION, "tangent, of the largest", "DopQ-ViT", tables=curves)
    return [
        Variant(ATTENTION, "uniform, dithered", runs=True),
        Variant(ATTENTION, "uniform, rounded", tables=(codes.uniform(bits),), whole=False),
        Variant(ATTENTION, "log2, of the largest", "FQ-ViT", tables=log2(bits), whole=False),
        Variant(
            ATTENTION,
            "log √2, of the largest",
            "RepQ-ViT",
            tables=(codes.logarithmic(bits, 1, 2),),
            whole=False,
        ),
        adaptive,
        replace(adaptive, name="log, adaptive base, of 1", relative=False, whole=False),
        tangent,
        replace(tangent, name="tangent, of 1", relative=False, whole=False),
    ]


def log2(bits: int) -> tuple[CodeTable, ...]:
    """The table of base 2."""
    return (codes.logarithmic(bits, 1, 1),)


def bases(bits: int) -> tuple[CodeTable, ...]:
    """The tables of AdaLog's bases."""
    return tuple(codes.logarithmic(bits, numerator) for numerator in codes.NUMERATORS)
