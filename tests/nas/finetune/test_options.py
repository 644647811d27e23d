"""Options of fine-tuning: what is refused, and what is left to the search's recipe."""

from pathlib import Path

import pytest

from nas.finetune.options import FinetuneOptions
from rtl.errors import UserError


def test_nothing_but_the_folder_is_needed():
    options = FinetuneOptions(Path("runs/digits"))
    assert (options.target, options.epochs, options.learning_rate, options.teacher_share) == (
        None, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": -1}, "--epochs must be from 1 to 100000, not -1"),
        ({"images": -1}, "--images must be from 0 to 1000000, not -1"),
        ({"workers": 0}, "--workers must be from 1 to 256, not 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be positive, not nan"),
        ({"teacher_share": -0.1}, "--teacher-share must be from 0 to 1, not -0.1"),
    ],
)
def test_refused(values, message):
    with pytest.raises(UserError, match=message):
        FinetuneOptions(Path("a"), **values)
