"""The meaning of an OUTPUT region: logits of classes, or tokens that become features.

Both kinds have the same methods, so that whoever holds one need not ask which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from boards.host.features import features
from boards.host.frames import LIGHTS_BITS

LOGIT = np.dtype("<i4")
RESIDUAL = np.dtype("<i2")


@dataclass(frozen=True)
class LogitMeaning:
    """Logits: the largest one names the class.

    Parameters
    ----------
    class_names : tuple of str
    output_scale : float
        Real value of one logit code.
    """

    class_names: tuple[str, ...]
    output_scale: float

    headings = ("class", "logit", "next")

    def decode(self, regions: np.ndarray) -> np.ndarray:
        """Logits of images.

        Parameters
        ----------
        regions : (images, bytes) uint8
            OUTPUT region of each image; bytes behind the output do not matter.

        Returns
        -------
        (images, classes) int32
        """
        content = np.ascontiguousarray(regions[:, : len(self.class_names) * LOGIT.itemsize])
        return content.view(LOGIT).astype(np.int32)

    def indices(self, regions: np.ndarray) -> None:
        """Return nothing: there are no tokens."""

    def cells(self, output: np.ndarray) -> tuple[str, ...]:
        """Show an image's logits: the best class, its logit, and the next one."""
        best, *others = np.argsort(-output, kind="stable")
        values = output * self.output_scale
        following = [f"{self.class_names[i]} {values[i]:.2f}" for i in others[:1]]
        return self.class_names[best], f"{values[best]:.2f}", "".join(following)

    def lights(self, output: np.ndarray) -> int:
        """Show an image's class in seven LEDs."""
        return int(output.argmax()) % (1 << LIGHTS_BITS - 1)

    def report(self, outputs: np.ndarray, indices: np.ndarray | None = None) -> dict[str, Any]:
        """Put images' logits as JSON has them."""
        names = [self.class_names[i] for i in outputs.argmax(axis=1)]
        return {"classes": names, "logits": outputs.tolist()}


@dataclass(frozen=True, eq=False)
class FeatureMeaning:
    """Residual words of tokens, and the final LayerNorm that a host applies to them.

    Parameters
    ----------
    tokens, patches, width, row_values : int
        Tokens, patches (of all tokens, the first ones), channels, and channels as they lie in
        memory, padded to whole words.
    matrix, bias, epsilon, scale, pool
        As of :class:`rtl.model.Features`.
    index_column : int, optional
        Which of the ``row_values`` is the token's index in the image, where tokens were dropped and
        the features are of all that are left.
    """

    tokens: int
    patches: int
    width: int
    row_values: int
    matrix: np.ndarray
    bias: np.ndarray
    epsilon: float | None
    scale: float
    pool: str
    index_column: int | None = None

    headings = ("features", "lowest", "mean", "highest")

    def decode(self, regions: np.ndarray) -> np.ndarray:
        """Residual words of images: (images, tokens, width) int32; see LogitMeaning.decode."""
        return self._values(regions)[..., : self.width].astype(np.int32)

    def indices(self, regions: np.ndarray) -> np.ndarray | None:
        """Index in the image of each token: (images, tokens) int32; None without ``index_column``.

        Registers and class token have the indices that follow the patches'.
        """
        if self.index_column is None:
            return None
        return self._values(regions)[..., self.index_column].astype(np.int32)

    def _values(self, regions: np.ndarray) -> np.ndarray:
        count = self.tokens * self.row_values * RESIDUAL.itemsize
        content = np.ascontiguousarray(regions[:, :count]).view(RESIDUAL)
        return content.reshape(len(regions), self.tokens, -1)

    def cells(self, output: np.ndarray) -> tuple[str, ...]:
        """Show an image's features: how many, and their range."""
        found = features(self, output[None], self.patches)[0]
        size = " x ".join(map(str, found.shape))
        return (size, *(f"{value:.3f}" for value in (found.min(), found.mean(), found.max())))

    def lights(self, output: np.ndarray) -> int:
        """Show nothing: there is no class."""
        return 0

    def report(self, outputs: np.ndarray, indices: np.ndarray | None = None) -> dict[str, Any]:
        """Put images' features as JSON has them, with the :meth:`indices` of their tokens."""
        found = features(self, outputs, self.patches)
        report = {"pool": self.pool, "features": found.tolist()}
        return report if indices is None else report | {"indices": indices.tolist()}
