"""Checks of values that come from files: what passes, and the line of what does not."""

import numpy as np
import pytest

from boards.host import checks
from rtl.errors import UserError


def refusal(check, *arguments):
    with pytest.raises(UserError) as error:
        check("name", *arguments)
    return str(error.value)


@pytest.mark.parametrize("value", [1, 3])
def test_integers_within_the_limits(value):
    checks.integer("name", value, 1, 3)


@pytest.mark.parametrize("value", [0, 4, 1.0, True, "2", None, np.int64(2)])
def test_other_integers(value):
    assert refusal(checks.integer, value, 1, 3) == (
        f"name must be an integer from 1 to 3, not {value!r}"
    )


def test_long_values_are_cut():
    message = refusal(checks.text, list(range(1000)))
    assert message.endswith(" ...") and len(message) < 100


def test_integers_too_long_to_print():
    assert refusal(checks.integer, 10**10_000, 0, 1).endswith("not a int too long to print")


@pytest.mark.parametrize("value", [1, "true", None])
def test_truth_values(value):
    checks.boolean("name", False)
    assert refusal(checks.boolean, value) == f"name must be true or false, not {value!r}"


@pytest.mark.parametrize("value", [True, 1.0, "1", 3])
def test_a_choice_is_of_the_same_type(value):
    checks.choice("name", 1, (1, 2))
    assert refusal(checks.choice, value, (1, 2)) == f"name must be one of 1, 2, not {value!r}"


def test_tensors():
    array = np.zeros((2, 3), np.int8)
    checks.tensor("name", array, "int8", (2, 3))
    assert refusal(checks.tensor, array, "int16", (2, 3)) == "tensor name must be int16, not int8"
    assert refusal(checks.tensor, array, "int8", (3,)) == "tensor name must have shape 3, not 2x3"


def test_the_first_value_outside_is_named():
    array = np.array([[0, 1], [5, -1]])
    checks.values("name", array, -1, 5)
    assert refusal(checks.values, array, 0, 4) == "tensor name[1, 0] is 5: it must be 0 to 4"
