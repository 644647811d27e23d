"""Scores that select subnets, held against the cross-entropy on the test images.

A search is as good as the score that it selects by. Of subnets in the band below each frame rate,
the largest uniform ones and random draws, every score is rank-correlated with the test's
cross-entropy (Kendall's tau-b). Nothing is chosen by these measurements.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

from nas.cost import ExactCosts
from nas.data import Images
from nas.search.band import Band
from nas.search.evolution import UNIFORM
from nas.search.options import SearchOptions
from nas.search.setup import SearchSetup, prepare
from nas.space import Arch
from nas.studies.options import StudyOptions
from nas.studies.setup import begin
from nas.supernet.supernet import Supernet
from nas.testset import load_digits_test
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import Result, evaluate_subnet
from nas.training.train import train_supernet
from rtl.console import DETAIL, print_tables, progress_bars, table
from rtl.files import atomic_write

SCHEMA = 1
DRAWS = 2000  # of subnets, with replacement, for an interval


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau-b, and its 95 % interval."""

    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of scores with the test, over the subnets of a band.

    Parameters
    ----------
    target_fps : float
    subnets, random_subnets : int
        Number of subnets, and of random draws among them.
    overall : dict of str to RankCorrelation
        Of each score with the test's cross-entropy.
    among_random : dict of str to RankCorrelation
        The same over the random draws alone.
    """

    target_fps: float
    subnets: int
    random_subnets: int
    overall: dict[str, RankCorrelation]
    among_random: dict[str, RankCorrelation]


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, a frame rate is out of reach, or training diverges.
    """
    path, console = begin(options, f"ranking-{options.seed}")
    setup = _setup(options, console)
    net = load_supernet(
        train_supernet(
            setup.training,
            setup.supernets,
            setup.data,
            console=console,
            workers=options.workers,
        )
    )
    test = load_digits_test()
    found = []
    with progress_bars(DETAIL, console=console) as progress:
        for target, band in zip(setup.targets, setup.bands(net.order), strict=True):
            archs, uniform = candidates(band, options.ranked, options.seed)
            bar = progress.add_task(f"{target:g} fps", total=len(archs), detail="")
            scores: list[dict[str, float]] = []
            losses: list[float] = []
            for arch in archs:
                scores.append(scores_of(net, arch, setup))
                losses.append(_loss(evaluate_subnet(net, arch, test)))
                progress.advance(bar)
            found.append(agreement(target, scores, losses, uniform))
    report = {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "targets": [asdict(each) for each in found],
    }
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(agreement_table(found))
    print(f"Wrote {path}")
    return report


def candidates(band: Band, count: int, seed: int) -> tuple[list[Arch], int]:
    """Return the largest uniform subnets and random draws of a band; how many are uniform."""
    uniform = band.uniform(UNIFORM)
    drawn = band.draw(count, np.random.default_rng([seed, 7]))
    more = [genes for genes in drawn if genes not in uniform][: count - len(uniform)]
    return [band.space.decode(genes) for genes in (*uniform, *more)], len(uniform)


def scores_of(net: Supernet, arch: Arch, setup: SearchSetup) -> dict[str, float]:
    """Score a subnet in quantized mode by each way to select; lower is better."""

    def answers(images: Images) -> Result:
        return evaluate_subnet(net, arch, images)

    validation = answers(setup.data.validation)
    return {
        "error, validation": 1 - validation.accuracy,
        "cross-entropy, validation": _loss(validation),
        "cross-entropy, search images": _loss(answers(setup.searching)),
        "cross-entropy, re-ranking images": _loss(answers(setup.reranking)),
    }


def agreement(
    target: float, scores: Sequence[dict[str, float]], losses: Sequence[float], uniform: int
) -> Agreement:
    """Correlate scores with the test's cross-entropies.

    Parameters
    ----------
    target : float
        Frame rate.
    scores : sequence of dict of str to float
        Of each subnet, by name.
    losses : sequence of float
        Cross-entropy of each subnet on the test images.
    uniform : int
        Number of subnets at the start that are no random draws.
    """
    values = {name: np.array([each[name] for each in scores]) for name in scores[0]}
    tested = np.array(losses)
    return Agreement(
        target,
        len(tested),
        len(tested) - uniform,
        {name: _correlation(each, tested) for name, each in values.items()},
        {name: _correlation(each[uniform:], tested[uniform:]) for name, each in values.items()},
    )


def agreement_table(found: Sequence[Agreement]) -> Table:
    """Make the table of a study."""
    result = table(
        "target\nfps", "score", "tau-b", "\nrandom draws alone",
        text=("score",),
        title="Rank correlation of scores with the cross-entropy on the 1,000 test images",
        caption=f"quantized mode; {found[0].subnets} subnets of each band,"
        f" {found[0].subnets - found[0].random_subnets} of them uniform; 95 % intervals resample"
        " the subnets",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for each in found:
        for name in each.overall:
            result.add_row(
                f"{each.target_fps:g}",
                name,
                _cell(each.overall[name]),
                _cell(each.among_random[name]),
            )
        result.add_section()
    return result


def _setup(options: StudyOptions, console: Console) -> SearchSetup:
    [setup] = prepare(
        SearchOptions(
            out=options.out,
            board=options.board,
            targets=options.targets,
            seed=options.seed,
            quick=options.quick,
        ),
        ExactCosts(),
        console,
    )
    return setup


def _correlation(scores: np.ndarray, losses: np.ndarray) -> RankCorrelation:
    rng = np.random.default_rng(0)
    count = len(scores)
    taus = [
        kendalltau(scores[some], losses[some]).statistic
        for some in (rng.integers(count, size=count) for _ in range(DRAWS))
    ]
    low, high = np.nanquantile(taus, (0.025, 0.975))
    return RankCorrelation(float(kendalltau(scores, losses).statistic), float(low), float(high))


def _loss(result: Result) -> float:
    return float(result.cross_entropy.mean())


def _cell(value: RankCorrelation) -> str:
    return f"{value.tau:.2f} ({value.low:.2f}..{value.high:.2f})"
