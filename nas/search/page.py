"""The report of a finished search: the front with its baselines, and the winners."""

from collections.abc import Sequence

from nas.cost import HardwareTarget
from nas.data import Images
from nas.evaluate.pictures import pictures
from nas.report.axis import percent
from nas.report.content import Evaluated, Fact, Network, Point, Quality, Report
from nas.search.evolution import Candidate
from nas.search.ranking import Outcome
from nas.search.summary import Summary
from rtl.model import IntegerModel

PICTURES = 6
"""Test images that are shown."""


def search_report(
    summary: Summary,
    hardware: HardwareTarget,
    models: Sequence[IntegerModel],
    found: Sequence[Candidate],
    drawn: Sequence[Candidate],
    outcomes: Sequence[Outcome],
    images: Images,
) -> Report:
    """Put together what a search has found.

    Parameters
    ----------
    summary : Summary
    hardware : HardwareTarget
        The winners' engine.
    models : sequence of IntegerModel
        Of the winners, in the order of the frame rates.
    found, drawn : sequence of Candidate
        Evaluated by the search, and at random.
    outcomes : sequence of Outcome
        Winners with their baselines.
    images : Images
        Test images to show, with the first winner's answers.
    """
    targets = [f"{winner.target_fps:,g} fps" for winner in summary.winners]
    networks = [
        Network.of(f"Winner for {target}", model, hardware)
        for target, model in zip(targets, models, strict=True)
    ]
    names = [f"test image {number}" for number in range(1, len(images) + 1)]
    labels = [models[0].class_names[label] for label in images.labels.tolist()]
    return Report(
        title=f"Search on board {summary.board}",
        lead=f"The best of {summary.candidates:,} subnets that reach {', '.join(targets)} on engine"
        f" {summary.engine} at {summary.clock_hz / 1e6:g} MHz. Images: {summary.task.described};"
        f" seed {summary.seed}; the images show what the winner for {targets[0]} answers.",
        facts=tuple(_facts(summary)),
        quality=_quality(summary),
        front=Evaluated(
            [(each.cycles, each.score.cross_entropy) for each in found],
            [(each.cycles, each.score.cross_entropy) for each in drawn],
            tuple(_chosen(targets, outcomes)),
            {
                target: summary.clock_hz / winner.target_fps
                for target, winner in zip(targets, summary.winners, strict=True)
            },
        ),
        networks=tuple(networks),
        pictures=tuple(pictures(models[0], None, None, images.pixels, names, labels)),
        measured=summary.model_dump(mode="json", by_alias=True),
    )


def _facts(summary: Summary) -> list[Fact]:
    found = []
    for winner in summary.winners:
        low, high = winner.accuracy_integer_interval
        remark = f"{percent(low)} to {percent(high)}, 95 %"
        found.append(
            Fact(f"at {winner.target_fps:,g} fps", percent(winner.accuracy_integer), remark)
        )
    if images := sum(winner.rtl_images for winner in summary.winners):
        mismatches = sum(
            winner.golden_mismatches + winner.rtl_wrong_instructions + winner.rtl_wrong_logits
            for winner in summary.winners
        )
        found.append(Fact("words that differ", f"{mismatches:,}", f"{images} images on the RTL"))
    return found


def _quality(summary: Summary) -> Quality:
    points = []
    for winner in summary.winners:
        cycles = winner.rtl_cycles or winner.predicted_cycles
        name, accuracy = f"{winner.target_fps:,g} fps", winner.accuracy_integer
        points.append(Point(name, cycles, accuracy, winner.accuracy_integer_interval, "winner"))
        for kind in ("uniform", "random"):
            other = getattr(winner.baselines, kind)
            points.append(Point("", other.cycles, other.accuracy_integer, None, kind))
    return Quality(
        "accuracy",
        tuple(points),
        caption="Integer models on test images that neither training nor search has seen; lines"
        " are the winners' 95 % intervals. Differences to the baselines, paired, are in the JSON.",
    )


def _chosen(targets: Sequence[str], outcomes: Sequence[Outcome]) -> list[Point]:
    found = []
    for target, outcome in zip(targets, outcomes, strict=True):
        for kind in ("winner", "uniform", "random"):
            candidate = getattr(outcome, kind).candidate
            value = candidate.score.cross_entropy
            found.append(Point(target, candidate.cycles, value, None, kind))
    return found
