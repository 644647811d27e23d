"""Scores of a supernet's subnets, one after the other or several at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.multiprocessing  # so that a process hands tensors on without a copy

from nas.cost.sweep import end_with_parent
from nas.data import ImageSet
from nas.search.evolution_state import Evaluate, Score
from nas.space import Arch
from nas.supernet.supernet import Supernet
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import evaluate_subnet


def score_of(net: Supernet, arch: Arch, images: ImageSet) -> Score:
    """Evaluate a subnet in quantized mode."""
    result = evaluate_subnet(net, arch, images)
    return Score(1 - result.accuracy, float(result.cross_entropy.mean()))


def scores_on(net: Supernet, images: ImageSet) -> Evaluate:
    """Return a function that scores subnets in this process."""
    return lambda archs: [score_of(net, arch, images) for arch in archs]


class ScoringPool:
    """Processes that score subnets: the same scores, as each runs as many threads as this one.

    Parameters
    ----------
    pool : Executor
        Whose processes have begun with :func:`_begin`.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def on(self, part: int) -> Evaluate:
        """Return a function that scores subnets on one of the image sets."""
        return lambda archs: list(self._pool.map(_score, [part] * len(archs), archs))


@contextmanager
def scoring_pool(checkpoint: Path, images: Sequence[ImageSet], count: int) -> Iterator[ScoringPool]:
    """Open a pool of ``count`` processes that score subnets of a trained supernet.

    Parameters
    ----------
    checkpoint : Path
        The trained supernet.
    images : sequence of ImageSet
        What subnets are scored on.
    """
    begin = checkpoint, tuple(images), torch.get_num_threads()
    with ProcessPoolExecutor(count, get_context("spawn"), _begin, begin) as pool:
        try:
            yield ScoringPool(pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# --- in a process of the pool -------------------------------------------------------------------

_net: Supernet
_images: tuple[ImageSet, ...]


def _begin(checkpoint: Path, images: tuple[ImageSet, ...], threads: int) -> None:
    """Load the supernet, once for each process."""
    global _net, _images
    end_with_parent()
    torch.set_num_threads(threads)
    _net, _images = load_supernet(checkpoint), images


def _score(part: int, arch: Arch) -> Score:
    return score_of(_net, arch, _images[part])
