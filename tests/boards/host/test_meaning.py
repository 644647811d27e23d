"""The meaning of an OUTPUT region, as tables show it."""

import numpy as np

from boards.host.meaning import FeatureMeaning, LogitMeaning


def test_logits_behind_padding():
    meaning = LogitMeaning(("a", "b", "c"), 0.5)
    regions = np.array([[4, -2, 6, 99], [1, 2, 3, 99]], "<i4").view(np.uint8)
    logits = meaning.decode(regions)
    np.testing.assert_array_equal(logits, [[4, -2, 6], [1, 2, 3]])
    assert meaning.cells(logits[0]) == ("c", "3.00", "a 2.00")


def test_a_single_class():
    assert LogitMeaning(("a",), 1.0).cells(np.array([3])) == ("a", "3.00", "")


def test_tokens_in_padded_rows():
    eye = np.eye(2, dtype=np.float32)
    meaning = FeatureMeaning(3, 2, 2, 4, eye, np.zeros(2, np.float32), 1e-6, 0.5, "all")
    rows = np.arange(12, dtype="<i2").reshape(1, 3, 4)
    tokens = meaning.decode(rows.view(np.uint8).reshape(1, -1))
    np.testing.assert_array_equal(tokens[0], [[0, 1], [4, 5], [8, 9]])
    assert meaning.cells(tokens[0]) == ("3 x 2", "-1.000", "0.000", "1.000")
    said = meaning.report(tokens)
    assert said["pool"] == "all" and np.shape(said["features"]) == (1, 3, 2)
    assert meaning.indices(rows.view(np.uint8).reshape(1, -1)) is None and "indices" not in said


def test_tokens_with_their_indices():
    eye = np.eye(2, dtype=np.float32)
    bias = np.zeros(2, np.float32)
    meaning = FeatureMeaning(3, 2, 2, 6, eye, bias, 1e-6, 0.5, "all", index_column=4)
    rows = np.arange(36, dtype="<i2").reshape(2, 3, 6)
    regions = rows.view(np.uint8).reshape(2, -1)
    tokens, indices = meaning.decode(regions), meaning.indices(regions)
    np.testing.assert_array_equal(tokens[1], [[18, 19], [24, 25], [30, 31]])
    np.testing.assert_array_equal(indices, [[4, 10, 16], [22, 28, 34]])
    assert meaning.report(tokens, indices)["indices"] == indices.tolist()
    assert "indices" not in meaning.report(tokens)
