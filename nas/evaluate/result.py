"""Results of an evaluation: accuracies, agreement, likeness of features and outputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.evaluate.compare import Measured
from nas.intervals import Difference, paired_difference, wilson

TOPS = (1, 5)


@dataclass(frozen=True)
class Accuracy:
    """Share of images whose class is among the first ``top`` ones.

    Parameters
    ----------
    top : int
    integer : float
    integer_interval : (low, high)
        Wilson's 95 % interval.
    exact : float, optional
        Of the float network, where there is one.
    difference : Difference, optional
        Integer minus float, on the same images.
    """

    top: int
    integer: float
    integer_interval: tuple[float, float]
    exact: float | None = None
    difference: Difference | None = None

    @classmethod
    def of(cls, top: int, integer_ranks: np.ndarray, float_ranks: np.ndarray | None) -> "Accuracy":
        """Count right answers: ranks, (images,), below ``top``."""
        right = integer_ranks < top
        share = float(right.mean())
        interval = wilson(int(right.sum()), len(right))
        if float_ranks is None:
            return cls(top, share, interval)
        exact = float_ranks < top
        return cls(top, share, interval, float(exact.mean()), paired_difference(right, exact))

    def report(self) -> dict[str, Any]:
        """Return all figures, as they are written to JSON."""
        found = self.difference
        return {
            "integer": self.integer,
            "integer_interval": list(self.integer_interval),
            "float": self.exact,
            "difference": found and found.mean,
            "difference_interval": found and [found.low, found.high],
        }


@dataclass(frozen=True)
class Likeness:
    """Likeness of the integer model's features, or of an output, to the float network's.

    Parameters
    ----------
    relative_error : float
        Length of the error over the length of the float network's, all images together.
    cosine : float, optional
        Mean over images and patches; of features.
    correlation : float, optional
        Pearson's, mean over images; of outputs.
    """

    relative_error: float
    cosine: float | None = None
    correlation: float | None = None

    @classmethod
    def of(cls, name: str, found: Measured) -> "Likeness":
        """Sum up what was measured of a tensor."""
        length = max(float(found[f"{name}.length"].sum()), 1e-300)
        means = {
            kind: float(found[f"{name}.{kind}"].mean())
            for kind in ("cosine", "correlation")
            if f"{name}.{kind}" in found
        }
        return cls(float(found[f"{name}.error"].sum() / length) ** 0.5, **means)


@dataclass(frozen=True)
class Evaluation:
    """An integer model on a set of images, beside its float network if that is at hand.

    Parameters
    ----------
    images : int
    accuracies : tuple of Accuracy
        Top-1, and top-5 of more than five classes; none without labels.
    agreement : float, optional
        Share of images with the same first class.
    agreement_interval : (low, high), optional
    likenesses : dict of str to Likeness
        Of ``features``, and of the host's outputs.
    seconds : float
        Time of the integer model, and of its host network, for an image.
    """

    images: int
    accuracies: tuple[Accuracy, ...]
    agreement: float | None
    agreement_interval: tuple[float, float] | None
    likenesses: dict[str, Likeness]
    seconds: float

    @classmethod
    def of(cls, found: Measured, images: int, classes: int) -> "Evaluation":
        """Sum up what was measured of ``images`` images."""
        ranks, agree = found.get("integer.rank"), found.get("agree")
        accuracies = ()
        if ranks is not None:
            tops = [top for top in TOPS if top < max(classes, 2)]
            accuracies = tuple(Accuracy.of(top, ranks, found.get("float.rank")) for top in tops)
        names = [key.removesuffix(".error") for key in found if key.endswith(".error")]
        return cls(
            images,
            accuracies,
            None if agree is None else float(agree.mean()),
            None if agree is None else wilson(int(agree.sum()), images),
            {name: Likeness.of(name, found) for name in names},
            float(found["integer.seconds"].mean()),
        )

    def report(self) -> dict[str, Any]:
        """Return all figures, as they are written to JSON."""
        tops = {f"top{accuracy.top}": accuracy.report() for accuracy in self.accuracies}
        likenesses = {
            name: {key: value for key, value in vars(like).items() if value is not None}
            for name, like in self.likenesses.items()
        }
        return {
            "images": self.images,
            "seconds_per_image": self.seconds,
            **{f"top{top}": tops.get(f"top{top}") for top in TOPS},
            "agreement": self.agreement,
            "agreement_interval": self.agreement_interval and list(self.agreement_interval),
            "likeness": likenesses,
        }
