"""The table of a run."""

import numpy as np

from boards.host.meaning import LogitMeaning
from boards.host.table import results


def test_a_table():
    meaning = LogitMeaning(("cat", "dog"), 0.25)
    outputs = np.array([[8, 4], [-4, 400]])
    text = results("m on b", meaning, ["a.png", "long name.png"], outputs, [1000, 99.6], 10**6)
    assert text.splitlines() == [
        "m on b",
        "image          class   logit       next  cycles  frames/s",
        "-" * 57,
        "a.png          cat      2.00   dog 1.00   1,000     1,000",
        "long name.png  dog    100.00  cat -1.00     100    10,040",
    ]
