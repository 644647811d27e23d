"""Tokens as a network's output, and the features that a host makes of them.

Source: docs/format.md, section Features. :func:`boards.host.features.features` is the one function
that computes them: for golden, a simulated engine, a board's host and exporters.
"""

from dataclasses import dataclass

import numpy as np

from boards.host import checks
from rtl.errors import UserError
from rtl.model.file import Header, Tensors
from rtl.model.parts import SIZE_MAX

ATTENTION = "attention"
ALL = "all"
POOLS = ("token", "mean", ALL, ATTENTION)
KEYS = ("matrix", "bias", "epsilon", "scale")


@dataclass(frozen=True)
class HostNetwork:
    """A network that follows the features, in a file beside the model's.

    Parameters
    ----------
    file : str
        Name of an ONNX file, without a folder.
    sha256 : str
        Of its bytes, 64 lower-case hexadecimal digits.
    """

    file: str
    sha256: str

    def check(self) -> None:
        checks.text("host.file", self.file)
        if not self.file or self.file.startswith(".") or set(self.file) & set("/\\\0"):
            raise UserError(
                f"host.file must be the name of a file beside the model, without a folder,"
                f" not {checks.shown(self.file)}"
            )
        checks.text("host.sha256", self.sha256)
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise UserError(
                "host.sha256 must be 64 lower-case hexadecimal digits,"
                f" not {checks.shown(self.sha256)}"
            )


@dataclass(frozen=True, eq=False)
class Features:
    """The output ``tokens``: residual words, and the final LayerNorm that a host applies to them.

    Parameters
    ----------
    matrix : (features, width) float32
        Weights of the LayerNorm, times whatever undoes a rotation of the residual stream.
    bias : (features,) float32
    epsilon : () float32, optional
        Added to the variance of real values; None where there is no LayerNorm, with pool
        ``"attention"``.
    scale : () float32
        Real value of one residual code.
    pool : str
        Of what tokens: ``"token"``, the class token; ``"mean"`` of the patches; ``"all"``; the one
        that comes out of attention pooling, ``"attention"``.
    host : HostNetwork, optional
        What follows in the source network.
    """

    matrix: np.ndarray
    bias: np.ndarray
    epsilon: np.ndarray | np.float32 | None
    scale: np.ndarray | np.float32
    pool: str
    host: HostNetwork | None = None

    def header(self, class_token: bool) -> Header:
        host = self.host and {"file": self.host.file, "sha256": self.host.sha256}
        said = {} if self.pool == "token" else {"class_token": class_token}
        return {"output": "tokens", "pool": self.pool, **said, "host": host}

    def tensors(self) -> Tensors:
        return {f"features.{key}": np.asarray(getattr(self, key)) for key in keys_of(self.pool)}

    def check(self, width: int) -> None:
        checks.choice("pool", self.pool, POOLS)
        if self.host is not None:
            self.host.check()
        if self.matrix.ndim != 2:
            raise UserError("tensor features.matrix must have two axes (features, width)")
        rows = self.matrix.shape[0]
        checks.integer("features", rows, 1, SIZE_MAX)
        shapes = {"matrix": (rows, width), "bias": (rows,), "epsilon": (), "scale": ()}
        for key in keys_of(self.pool):
            shape = shapes[key]
            name, value = f"features.{key}", np.asarray(getattr(self, key))
            checks.tensor(name, value, "float32", shape)
            checks.finite(name, value)
            if not shape and value <= 0:
                raise UserError(f"tensor {name} is {value}: it must be greater than 0")


def keys_of(pool: str) -> tuple[str, ...]:
    """Tensors of the features; attention pooling has no LayerNorm behind it."""
    return tuple(key for key in KEYS if key != "epsilon" or pool != ATTENTION)
