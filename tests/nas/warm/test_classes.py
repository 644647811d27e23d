"""Rows of a classifier by the names of classes, or by their number."""

from nas.warm.classes import class_rows


def test_rows_of_the_same_classes():
    assert class_rows((), 2, ("a", "b")) == [0, 1]
    assert class_rows(("b", "a"), 2, ("a", "b")) == [1, 0]
    assert class_rows(["a", "b", "c"], 3, ("c", "a", "b")) == [2, 0, 1]


def test_other_classes():
    assert class_rows((), 3, ("a", "b")) is None
    assert class_rows(("a", "c"), 2, ("a", "b")) is None
