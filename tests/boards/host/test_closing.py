"""A block's end closes what it opened, also where it fails."""

import pytest

from boards.host.closing import Closing


class Door(Closing):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_a_block():
    with Door() as door:
        assert not door.closed
    assert door.closed == 1


def test_an_error_in_the_block_is_not_swallowed():
    door = Door()
    with pytest.raises(KeyError), door:
        raise KeyError
    assert door.closed == 1
