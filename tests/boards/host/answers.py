"""Answers that a driver should give: golden's logits, or one line that says why not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from boards.host.accelerator import Accelerator
from boards.host.errors import UserError
from tests.boards.host.networks import small


def good(engine: Accelerator) -> None:
    """Run all images and compare the logits."""
    np.testing.assert_array_equal(engine.classify(small().images).outputs, small().logits)


def failure(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the line that a call is refused with."""
    with pytest.raises(UserError) as error:
        call(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message
