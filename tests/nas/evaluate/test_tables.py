"""Tables show every figure."""

from dataclasses import replace

from rich.console import Console
from rich.table import Table

from nas.evaluate.noise import NoiseBudget, SourceNoise
from nas.evaluate.result import Accuracy, Evaluation, Likeness, Selection
from nas.evaluate.tables import (
    accuracy_table,
    likeness_table,
    noise_table,
    selection_table,
    sentences,
)
from nas.intervals import Difference

FOUND = Evaluation(
    images=200,
    accuracies=(
        Accuracy(1, 0.91, (0.88, 0.94), 0.923, Difference(-0.013, -0.021, -0.002)),
        Accuracy(5, 0.99, (0.98, 1.0)),
    ),
    agreement=0.97,
    agreement_interval=(0.95, 0.99),
    likenesses={"features": Likeness(0.1012, 0.9953), "map": Likeness(0.2, correlation=0.9961)},
    seconds=0.1732,
)


def lines(table: Table) -> list[list[str]]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return [line.split() for line in capture.get().splitlines()]


def test_accuracies_and_differences_in_points():
    rows = {line[0]: line[1:] for line in lines(accuracy_table(FOUND)) if line}
    found = "91.00% 88.00% to 94.00% 92.30% -1.30 -2.10 to -0.20"
    assert rows["top-1"] == found.split()
    assert rows["top-5"] == "99.00% 98.00% to 100.00% - - -".split()


def test_selection():
    selection = Selection(
        {3: 0.957, 6: 0.9464}, {3: 0.957, 6: 0.979}, 0.99, {"features": Likeness(0.1012, 0.9953)}
    )
    rows = {line[0]: line[1:] for line in lines(selection_table(selection)) if line}
    assert (rows["3"], rows["6"]) == (["95.70%", "95.70%"], ["94.64%", "97.90%"])
    said = list(sentences(replace(FOUND, selection=selection)))
    assert said[-2:] == [
        "same first class, on the same tokens: 99.00%",
        "features on the same tokens: relative error 0.1012, cosine 0.9953",
    ]


def test_likeness():
    rows = {line[0]: line[1:] for line in lines(likeness_table(FOUND)) if line}
    assert rows["features"] == ["0.1012", "0.9953", "-"]
    assert rows["map"] == ["0.2000", "-", "0.9961"]


def test_time_and_agreement_are_sentences():
    time, agreement = sentences(FOUND)
    assert time == "integer model: 0.173 s per image"
    assert agreement.endswith("97.00% of 200 images (95 %: 95.00% to 99.00%)")


def test_the_largest_noise_is_first():
    sources = (
        SourceNoise("q", 0.03, 0.05, 1.0, 0.9),
        SourceNoise("weights", 0.04, 0.03, 0.95, 0.96),
    )
    rows = [line for line in lines(noise_table(NoiseBudget(32, 0.06, 0.875, sources))) if line]
    names = [row[0] for row in rows]
    assert names.index("weights") < names.index("q")
    assert ["q", "0.0300", "0.0500", "100.0%", "90.0%"] in rows
    assert ["root", "of", "the", "squares", "0.0500"] in rows
    assert ["all", "together", "0.0600", "87.5%"] in rows


def test_noise_of_features_has_no_agreement():
    rows = lines(noise_table(NoiseBudget(8, 0.06, None, (SourceNoise("q", 0.03, 0.05),))))
    assert ["q", "0.0300", "0.0500"] in rows and ["all", "together", "0.0600"] in rows
