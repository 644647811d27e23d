"""Tables of the main job: what they say of a summary."""

from io import StringIO

import pytest
from rich.console import Console

from nas.digits import DIGITS
from nas.search.summary import Summary
from nas.search.table import (
    baselines_table,
    describe,
    summary_lines,
    verdicts,
    winners_table,
    work_table,
)


@pytest.fixture
def summary(runs) -> Summary:
    return Summary.load(runs / "digits" / "summary.json")


def text(table) -> str:
    console = Console(width=80, file=StringIO())
    console.print(table)
    return console.file.getvalue()


def test_a_row_for_each_winner_in_80_columns(summary):
    lines = text(winners_table(summary)).splitlines()
    assert max(map(len, lines)) <= 80
    for winner in summary.winners:
        (row,) = [line for line in lines if line.split()[:1] == [f"{winner.target_fps:g}"]]
        assert f"{winner.predicted_cycles:,}" in row and row.split()[-1] == "0"
        assert lines[lines.index(row) + 1].rstrip().endswith("0 + 0")


def test_measured_cycles_are_compared_with_predicted_ones(summary):
    winner = summary.winners[0]
    measured = round(1.01 * winner.predicted_cycles)
    ran = winner.model_copy(update={"rtl_cycles": measured, "rtl_fps": 1e8 / measured})
    found = text(winners_table(summary.model_copy(update={"winners": (ran,)})))
    assert f"{measured:,}" in found and "+1.0%" in found


def test_work_of_a_winner(summary):
    found = text(work_table(summary))
    assert f"{summary.winners[0].work.array_cycles:,}" in found and "uncalibrated" in found


def test_costing_has_its_share(summary):
    changed = summary.model_copy(update={"wall_s": 200.0, "costing_s": 5.0})
    assert summary_lines(changed)[-1] == "Costs of subnets: 5 s, 2.5% of the time"


def test_baselines_of_each_winner_in_80_columns(summary):
    lines = text(baselines_table(summary)).splitlines()
    assert max(map(len, lines)) <= 80
    for winner in summary.winners:
        (row,) = [line for line in lines if line.split()[:1] == [f"{winner.target_fps:g}"]]
        assert f"{winner.cross_entropy:.4f}" in row and f"{winner.evaluations} search" in row
    for name in ("uniform", "random"):
        assert sum(name in line.split()[:2] for line in lines) == len(summary.winners)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((-0.03, -0.01), "the search beat the best uniform network"),
        ((-0.01, 0.02), "the search did not help against the best uniform network"),
        ((0.01, 0.02), "the search did not help: worse than the best uniform network"),
    ],
)
def test_a_search_that_did_not_help_says_so(interval, said, summary):
    winner = summary.winners[0]
    uniform = winner.baselines.uniform.model_copy(update={"difference_interval": interval})
    baselines = winner.baselines.model_copy(update={"uniform": uniform})
    changed = winner.model_copy(update={"baselines": baselines, "in_band": 0.75})
    (line,) = verdicts(summary.model_copy(update={"winners": (changed,)}))
    assert line.startswith(f"9500 fps, 75% of candidates near the limit: {said}, ")


def test_an_engine_search_says_what_binds(summary):
    searched = summary.model_copy(
        update={
            "engine_searched": True,
            "resources": {"dsp": 12.0},
            "limits": {"dsp": 20},
            "binding": None,
            "lanes": 7,
            "lanes_left_out": 2,
        }
    )
    assert summary_lines(searched)[len(summary.winners) : -1] == [
        f"Engine {summary.engine}: dsp 12 of 20",
        "Limit: no limit of the board keeps a faster engine out",
        "Calibration: 2 of 7 lanes were left out: their resources would be extrapolated",
    ]


def test_a_subnet_in_two_lines():
    assert describe(DIGITS.smallest()) == "32 x 2\n0%"
    assert describe(DIGITS.largest()) == "64 x 4\n100%"
