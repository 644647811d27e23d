"""Results of an evaluation: accuracies, agreement, likeness of features and outputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.evaluate.compare import SAME, Measured
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

    def report(self) -> dict[str, float]:
        """Return the figures that there are, as they are written to JSON."""
        return {key: value for key, value in vars(self).items() if value is not None}


def _likenesses(found: Measured) -> dict[str, Likeness]:
    """Sum up every tensor that was measured."""
    names = [key.removesuffix(".error") for key in found if key.endswith(".error")]
    return {name: Likeness.of(name, found) for name in names if not name.startswith(SAME)}


@dataclass(frozen=True)
class Selection:
    """Tokens that the integer model and the float network choose, and likeness on equal ones.

    Parameters
    ----------
    own : dict of int to float
        By block: part of the patches behind it that both networks have left of the image, each by
        its own choice. Mean over images, as all that follow.
    same : dict of int to float
        Likewise where the float network chooses among the patches that the integer model has left.
    agreement : float, optional
        Share of images with the same first class, where the float network has the integer model's
        tokens.
    likenesses : dict of str to Likeness
        Likewise.
    """

    own: dict[int, float]
    same: dict[int, float]
    agreement: float | None
    likenesses: dict[str, Likeness]

    @classmethod
    def of(cls, found: Measured) -> "Selection | None":
        """Sum up what was measured; None where nothing was selected."""
        own, same = (
            {
                int(name.removeprefix(prefix)): float(values.mean())
                for name, values in found.items()
                if name.startswith(prefix)
            }
            for prefix in ("kept.own.", "kept.same.")
        )
        if not own:
            return None
        alike = {k.removeprefix(SAME): v for k, v in found.items() if k.startswith(SAME)}
        agree = alike.get("agree")
        agreement = None if agree is None else float(agree.mean())
        return cls(own, same, agreement, _likenesses(alike))

    def report(self) -> dict[str, Any]:
        """Return all figures, as they are written to JSON."""
        return {
            "own": {str(block): share for block, share in self.own.items()},
            "same": {str(block): share for block, share in self.same.items()},
            "agreement": self.agreement,
            "likeness": {name: like.report() for name, like in self.likenesses.items()},
        }


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
    selection : Selection, optional
        Of networks that select tokens.
    """

    images: int
    accuracies: tuple[Accuracy, ...]
    agreement: float | None
    agreement_interval: tuple[float, float] | None
    likenesses: dict[str, Likeness]
    seconds: float
    selection: Selection | None = None

    @classmethod
    def of(cls, found: Measured, images: int, classes: int) -> "Evaluation":
        """Sum up what was measured of ``images`` images."""
        ranks, agree = found.get("integer.rank"), found.get("agree")
        accuracies = ()
        if ranks is not None:
            tops = [top for top in TOPS if top < max(classes, 2)]
            accuracies = tuple(Accuracy.of(top, ranks, found.get("float.rank")) for top in tops)
        return cls(
            images,
            accuracies,
            None if agree is None else float(agree.mean()),
            None if agree is None else wilson(int(agree.sum()), images),
            _likenesses(found),
            float(found["integer.seconds"].mean()),
            Selection.of(found),
        )

    def report(self) -> dict[str, Any]:
        """Return all figures, as they are written to JSON."""
        tops = {f"top{accuracy.top}": accuracy.report() for accuracy in self.accuracies}
        return {
            "images": self.images,
            "seconds_per_image": self.seconds,
            **{f"top{top}": tops.get(f"top{top}") for top in TOPS},
            "agreement": self.agreement,
            "agreement_interval": self.agreement_interval and list(self.agreement_interval),
            "likeness": {name: like.report() for name, like in self.likenesses.items()},
            "selection": self.selection and self.selection.report(),
        }
