"""docs/results/boards.json is of the scripts and overlays that are written today."""

import json

import pytest

from tests.rtl.build.proof import RESULTS, SCHEMA, ZYNQ, hashes
from tests.rtl.build.trees import RELEASES

REMEDY = "nox -s zynq makes it anew"


@pytest.fixture(scope="module")
def report() -> dict:
    return json.loads(RESULTS.read_text())


def test_it_is_of_these_boards(report):
    assert report["schema"] == SCHEMA
    assert report["boards"] == {board.name: hashes(board) for board in ZYNQ}, REMEDY


@pytest.mark.parametrize("page", ["zynq.md", "design/0023-zynq-boards.md"])
def test_pages_name_the_kernels_that_were_checked(report, page):
    text = " ".join((RESULTS.parents[1] / page).read_text().split())
    versions = [report["kernels"][release]["version"] for release in RELEASES]
    assert f"({versions[0]} and {versions[1]})" in text or f"({', '.join(versions)})" in text


@pytest.mark.parametrize("release", RELEASES)
def test_each_board_was_checked_on_a_tree_at_least(report, release):
    found = report["kernels"][release]["trees"]
    assert set(found) == {board.name for board in ZYNQ}, REMEDY
    assert all(found.values())
