"""Choices of the patches that blocks keep, and their counts."""

from math import inf, nan

import pytest

from nas.keep import check_keeps, kept_counts, share_of


def test_a_share_is_rounded_up_and_exact():
    assert [share_of(0.7, count) for count in (49, 35, 25, 10)] == [35, 25, 18, 7]
    assert share_of(0.14, 50) == 7 < 0.14 * 50


def test_the_smallest_share_is_one():
    assert [share_of(1e-5, count) for count in (0, 1, 64)] == [0, 1, 1]
    assert share_of(0.0, 64) == 0
    assert kept_counts((1e-5, 1e-5), 64) == [1, None]


def test_shares_are_of_the_patches_that_are_left():
    assert kept_counts((0.7, None, 0.7, 0.7), 49) == [35, None, 25, 18]


def test_numbers_are_limited_by_the_patches_that_are_left():
    assert kept_counts((24, 35, None, 1), 49) == [24, None, None, 1]
    assert kept_counts((0.9, 0.9), 1) == [None, None]


@pytest.mark.parametrize(
    "keeps", [(0.7, 0.5), (0.5, 1.0), (0.5, 3), (0, 3), (3, 3), (2.5,), (inf,), (nan,)]
)
def test_choices_that_are_neither_shares_nor_numbers_are_refused(keeps):
    with pytest.raises(ValueError, match="keeps must be a rising list of shares between 0 and 1"):
        check_keeps(keeps, 49)


def test_all_patches_are_no_choice_of_their_own():
    check_keeps((24, 48), 49)
    with pytest.raises(ValueError, match=r"keeps must be below 49, .* not \(24, 49\)"):
        check_keeps((24, 49), 49)
    with pytest.raises(ValueError, match=r"keeps must be below 49, .* not \(10+ \.\.\.: all of"):
        check_keeps((10**5000 // 10**4900,), 49)
