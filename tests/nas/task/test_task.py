"""The task of the digits is the main job's."""

import pytest

from nas.digits import DIGITS, load_digits, recipe
from nas.task.task import digits_task
from nas.testset import load_digits_test, load_test


@pytest.mark.parametrize("split", [0, 3])
def test_digits(split):
    task, data = digits_task(split), load_digits(split)
    assert task.space == DIGITS and task.record is None and task.test_images == 1000
    expected = recipe(DIGITS, act_bits=8, seed=5, threads=1)
    config = task.config(DIGITS, act_bits=8, seed=5, threads=1)
    assert config == expected and config.key(task.data) == expected.key(data)
    assert (load_test(task.origin).pixels == load_digits_test(split).pixels).all()
