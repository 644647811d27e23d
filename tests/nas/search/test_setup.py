"""Setup of a run: what the options decide, and what belongs to the identity of a run."""

from dataclasses import replace

import pytest

from nas.data import thinned
from nas.search import setup
from nas.search.options import SearchOptions
from nas.search.setup import cost_workers
from tests.nas.search.runs import RATES, ROOT, prepared


def test_images_that_rerank_are_none_of_the_searchs(runs):
    setup = prepared(SearchOptions(out=runs, targets=(9000.0,)))
    searched, reranking = (
        {pixels.tobytes() for pixels in part.pixels.numpy()}
        for part in (setup.searching, setup.reranking)
    )
    assert len(searched) == 500 + 1750 and len(reranking) == 1750
    assert not searched & reranking
    assert set(setup.reranking.labels.tolist()) == set(range(10))


def test_of_very_many_images_a_spread_compares(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "MOST_IMAGES", 600)
    found = prepared(SearchOptions(out=tmp_path, targets=(9000.0,)))
    assert len(found.searching) == len(found.reranking) == 600
    validation = {pixels.tobytes() for pixels in found.data.validation.pixels.numpy()}
    searched, reranking = (
        {pixels.tobytes() for pixels in part.pixels.numpy()}
        for part in (found.searching, found.reranking)
    )
    assert len(searched & validation) == 500 and not searched & reranking
    for part in (found.searching, found.reranking):
        assert set(part.labels.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("objectives", "narrow"), [(("cycles",), True), (("memory_bytes", "cycles"), False)]
)
def test_candidates_lie_in_a_narrow_band_unless_an_objective_draws_them_away(
    objectives, narrow, runs
):
    setup = prepared(SearchOptions(out=runs, targets=RATES, objectives=objectives))
    bands = setup.bands({})
    assert [band.narrow for band in bands] == [narrow] * len(RATES)
    assert [band.limit for band in bands] == [1e8 / rate for rate in RATES]


def test_quick_keeps_every_class(runs):
    data = thinned(prepared(SearchOptions(out=runs, targets=(9000.0,))).data, 7)
    for part in (data.train, data.validation):
        assert set(part.labels.tolist()) == set(range(10))


def test_training_takes_seed_and_threads_from_the_options(runs):
    options = SearchOptions(out=runs, targets=(9000.0,), seed=3, threads=2)
    training = prepared(options).training
    assert (training.seed, training.threads) == (3, 2)


def test_subnets_beyond_the_calibration_are_flagged(runs):
    """From the smallest to the largest; digits are what board sim was calibrated for."""

    def said(**options):
        setup = prepared(SearchOptions(out=runs, **options))
        return setup.caveats(setup.engines[0])

    far = said(board="zcu102")[-1]
    assert far.startswith("cycles on board 'zcu102' extrapolate: tokens 17 outside 50 to 257")
    assert "width 32 outside" in far and "width 64 outside" in far
    assert not any("extrapolate" in each for each in said())


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("seed", {"seed": 1}),
        ("threads", {"threads": 2}),
        ("targets", {"targets": (9000.0,)}),
        ("population", {"population": 8}),
        ("generations", {"generations": 3}),
        ("objectives", {"objectives": ("array_cycles",)}),
        ("engine", {"engine": "zcu102"}),
        ("supernet", {"quick": True}),
    ],
)
def test_options_that_decide_a_search_are_in_its_identity(key, changes, tmp_path):
    options = SearchOptions(out=tmp_path, targets=RATES)
    before, after = (prepared(each).identity for each in (options, replace(options, **changes)))
    assert before[key] != after[key]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("clock_hz", "clock_hz = 100_000_000", "clock_hz = 200_000_000"),
        ("cycles of smallest and largest", "latency_cycles = 100", "latency_cycles = 200"),
    ],
)
def test_a_board_that_was_changed_is_another_run(key, old, new, tmp_path):
    text = (ROOT / "boards" / "sim.toml").read_text()
    assert old in text
    identities = []
    for content in (text, text.replace(old, new)):
        board = tmp_path / "sim.toml"
        board.write_text(content)
        identities.append(
            prepared(SearchOptions(out=tmp_path, targets=RATES, board=str(board))).identity
        )
    before, after = identities
    assert before["board"] == after["board"] == "sim" and before[key] != after[key]


def test_another_timing_model_is_another_run(tmp_path, monkeypatch):
    options = SearchOptions(out=tmp_path, targets=RATES)
    before = prepared(options).identity
    monkeypatch.setattr(setup, "fingerprint", lambda: "0" * 16)
    after = prepared(options).identity
    assert {key for key in before if before[key] != after[key]} == {"timing model"}


def test_costs_are_computed_in_this_process_unless_workers_are_asked_for():
    with cost_workers(SearchOptions()) as executor:
        assert executor is None
    with cost_workers(SearchOptions(workers=2)) as executor:
        assert executor is not None
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
