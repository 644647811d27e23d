"""The main job on five splits of the digits, so that each digit is a test image once."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from nas.digits import SPLITS, load_digits
from nas.intervals import Difference
from nas.search import job
from nas.search.options import SUPERNETS, SearchOptions
from nas.search.summary import Summary
from nas.space import Arch
from nas.studies.answers import integer_answers
from nas.studies.options import StudyOptions
from nas.studies.resampling import nested_mean
from nas.testset import load_digits_test
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import Result
from rtl.console import print_tables, table
from rtl.files import atomic_write, require_writable

SCHEMA = 1
WINNER, BASELINES = "winner", ("uniform", "random")
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
    """Do the main job on every split, or continue; return what is written.

    Raises
    ------
    UserError
        If the folder cannot be written, or holds runs of other settings.
    """
    path = options.out / f"splits-{options.seed}.json"
    require_writable(path)
    splits: list[list[SplitAnswers]] = []
    for index in range(SPLITS):
        print(f"Split {index + 1} of {SPLITS}")
        splits.append(answers(options, index, job.run(search_options(options, index))))
    report = summarize(options, splits)
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(results_table(report))
    print(f"Wrote {path}")
    return report


def search_options(options: StudyOptions, index: int) -> SearchOptions:
    """Return the options of the main job on one split; nothing runs on the RTL."""
    return SearchOptions(
        name=f"split{index}-seed{options.seed}",
        out=options.out,
        board=options.board,
        seed=options.seed,
        split=index,
        images=0,
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


def summarize(options: StudyOptions, splits: Sequence[Sequence[SplitAnswers]]) -> dict[str, Any]:
    """Collect JSON values: by frame rate and over all, means with 95 % intervals.

    Differences are winner minus baseline, in cross-entropy; intervals resample splits and images.
    """
    targets = [
        {
            "target_fps": of_target[0].target_fps,
            "accuracy_integer": float(_accuracies(of_target).mean()),
            "accuracy_by_split": _accuracies(of_target).tolist(),
            "cross_entropy": float(_losses(of_target, WINNER).mean()),
            "difference": {
                name: asdict(nested_mean(_minus(of_target, name))) for name in BASELINES
            },
        }
        for of_target in zip(*splits, strict=True)
    ]
    overall = {
        name: asdict(
            nested_mean(np.mean([_minus(each, name) for each in zip(*splits, strict=True)], axis=0))
        )
        for name in BASELINES
    }
    return {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "splits": len(splits),
        "targets": targets,
        "difference": overall,
    }


def results_table(report: dict[str, Any]) -> Table:
    """Make the table of a report."""
    result = table(
        "target\nfps", "accuracy %\nmean", "\nsplits", "cross-\nentropy",
        "winner minus\nuniform", "\nrandom",
        text=(),
        title=f"Winners on {report['splits']} splits, each digit a test image once",
        caption="integer models; differences in cross-entropy, paired; 95 % intervals resample"
        " splits and images",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for target in report["targets"]:
        result.add_row(
            f"{target['target_fps']:g}",
            f"{100 * target['accuracy_integer']:.2f}",
            " ".join(f"{100 * each:.1f}" for each in target["accuracy_by_split"]),
            f"{target['cross_entropy']:.4f}",
            *(_cell(target["difference"][name]) for name in BASELINES),
        )
    result.add_section()
    result.add_row("all", "", "", "", *(_cell(report["difference"][name]) for name in BASELINES))
    return result


def _accuracies(of_target: Sequence[SplitAnswers]) -> np.ndarray:
    return np.array([each.results[WINNER].accuracy for each in of_target])


def _losses(of_target: Sequence[SplitAnswers], name: str) -> np.ndarray:
    """(splits, images) float64."""
    return np.stack([each.results[name].cross_entropy.astype(float) for each in of_target])


def _minus(of_target: Sequence[SplitAnswers], name: str) -> np.ndarray:
    return _losses(of_target, WINNER) - _losses(of_target, name)


def _cell(values: dict[str, float]) -> str:
    difference = Difference(**values)
    return f"{difference.mean:+.4f}\n{difference.low:+.4f}..{difference.high:+.4f}"
