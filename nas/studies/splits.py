"""The main job on five splits of the digits, so that each digit is a test image once.

On the first split it is done with further seeds, too.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nas.digits import SPLITS, load_digits
from nas.intervals import Difference
from nas.search import job
from nas.search.options import SearchOptions
from nas.search.summary import Summary
from nas.space import Arch
from nas.studies.answers import integer_answers
from nas.studies.options import StudyOptions
from nas.studies.resampling import cell, crossed_mean, nested_mean
from nas.task.options import SUPERNETS
from nas.testset import load_digits_test
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import Result
from rtl.console import print_tables, table
from rtl.files import atomic_write, require_writable

SCHEMA = 1
WINNER, BASELINES = "winner", ("uniform", "random")
SEEDS = 3  # on the first split, if not said otherwise
Mean = Callable[[np.ndarray], Difference]
QUICK = {"quick": True, "generations": 1, "population": 4}


@dataclass(frozen=True, eq=False)
class SplitAnswers:
    """Answers of a frame rate's winner and its baselines on one split's test images.

    Parameters
    ----------
    target_fps : float
    results : dict of str to Result
        By :data:`WINNER` and the names of :data:`BASELINES`.
    """

    target_fps: float
    results: dict[str, Result]


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the main job on every split, and on the first one with each seed; return what is written.

    An interrupted study continues.

    Raises
    ------
    UserError
        If the folder cannot be written, or holds runs of other settings.
    """
    path = options.out / f"splits-{options.seed}.json"
    require_writable(path)
    seeds = range(options.seed, options.seed + (options.seeds or SEEDS))
    runs = [(index, options.seed) for index in range(SPLITS)] + [(0, each) for each in seeds[1:]]
    found = {}
    for number, (index, seed) in enumerate(runs, 1):
        print(f"Run {number} of {len(runs)}: split {index}, seed {seed}")
        summary = job.run(search_options(options, index, seed))
        found[index, seed] = answers(options, index, summary)
    splits = [found[index, options.seed] for index in range(SPLITS)]
    report = summarize(options, splits, {seed: found[0, seed] for seed in seeds})
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(results_table(report))
    if len(seeds) > 1:
        print_tables(seeds_table(report))
    print(f"Wrote {path}")
    return report


def search_options(options: StudyOptions, index: int, seed: int) -> SearchOptions:
    """Return the options of the main job on one split; nothing runs on the RTL."""
    return SearchOptions(
        name=f"split{index}-seed{seed}",
        out=options.out,
        board=options.board,
        targets=options.targets,
        seed=seed,
        split=index,
        images=0,
        workers=options.workers,
        **(QUICK if options.quick else {}),
    )


def answers(options: StudyOptions, index: int, summary: Summary) -> list[SplitAnswers]:
    """Classify a split's test images by the integer models of winners and baselines."""
    net = load_supernet(options.out / SUPERNETS / f"supernet-{summary.supernet[:12]}.pt")
    data, test = load_digits(index), load_digits_test(index)
    found = []
    for winner in summary.winners:
        archs = {WINNER: winner.arch}
        archs |= {name: getattr(winner.baselines, name).arch for name in BASELINES}
        results = {
            name: integer_answers(net, Arch.from_json(arch), data, test)
            for name, arch in archs.items()
        }
        found.append(SplitAnswers(winner.target_fps, results))
    return found


def summarize(
    options: StudyOptions,
    splits: Sequence[Sequence[SplitAnswers]],
    seeds: Mapping[int, Sequence[SplitAnswers]],
) -> dict[str, Any]:
    """Collect JSON values: by frame rate and over all, means with 95 % intervals.

    Differences are winner minus baseline, in cross-entropy. Intervals resample splits and images
    or, on the first split, seeds and images.

    Parameters
    ----------
    options : StudyOptions
    splits : sequence of sequence of SplitAnswers
        Of each split, of each frame rate.
    seeds : mapping of int to sequence of SplitAnswers
        On the first split, by seed.
    """
    return {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        **_collected("split", splits, nested_mean),
        "first_split": {
            "seeds": list(seeds),
            **_collected("seed", list(seeds.values()), crossed_mean),
        },
    }


def results_table(report: dict[str, Any]) -> Table:
    """Make the table of all splits."""
    splits = len(report["targets"][0]["accuracy_by_split"])
    return _table(
        report, "split", f"Winners on {splits} splits, each digit a test image once", "splits"
    )


def seeds_table(report: dict[str, Any]) -> Table:
    """Make the table of the seeds on the first split."""
    seeds = ", ".join(map(str, report["first_split"]["seeds"]))
    return _table(report["first_split"], "seed", f"Winners on split 0, seeds {seeds}", "seeds")


def _table(values: dict[str, Any], by: str, title: str, resampled: str) -> Table:
    result = table(
        "target\nfps", "accuracy %\nmean", f"\n{resampled}", "cross-\nentropy",
        "winner minus\nuniform", "\nrandom",
        text=(),
        title=title,
        caption="integer models; differences in cross-entropy, paired; 95 % intervals resample"
        f" {resampled} and images",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for target in values["targets"]:
        result.add_row(
            f"{target['target_fps']:g}",
            f"{100 * target['accuracy_integer']:.2f}",
            " ".join(f"{100 * each:.1f}" for each in target[f"accuracy_by_{by}"]),
            f"{target['cross_entropy']:.4f}",
            *(cell(target["difference"][name]) for name in BASELINES),
        )
    result.add_section()
    result.add_row("all", "", "", "", *(cell(values["difference"][name]) for name in BASELINES))
    return result


def _collected(by: str, runs: Sequence[Sequence[SplitAnswers]], mean: Mean) -> dict[str, Any]:
    targets = [
        {
            "target_fps": of_target[0].target_fps,
            "accuracy_integer": float(_accuracies(of_target).mean()),
            f"accuracy_by_{by}": _accuracies(of_target).tolist(),
            "cross_entropy": float(_losses(of_target, WINNER).mean()),
            "difference": {name: asdict(mean(_minus(of_target, name))) for name in BASELINES},
        }
        for of_target in zip(*runs, strict=True)
    ]
    overall = {
        name: asdict(
            mean(np.mean([_minus(each, name) for each in zip(*runs, strict=True)], axis=0))
        )
        for name in BASELINES
    }
    return {"targets": targets, "difference": overall}


def _accuracies(of_target: Sequence[SplitAnswers]) -> np.ndarray:
    return np.array([each.results[WINNER].accuracy for each in of_target])


def _losses(of_target: Sequence[SplitAnswers], name: str) -> np.ndarray:
    """(splits, images) float64."""
    return np.stack([each.results[name].cross_entropy.astype(float) for each in of_target])


def _minus(of_target: Sequence[SplitAnswers], name: str) -> np.ndarray:
    return _losses(of_target, WINNER) - _losses(of_target, name)
