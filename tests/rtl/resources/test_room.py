"""Room on a board: the engine that is meant for it, one that is too large, and by how much."""

import re
from dataclasses import replace

import pytest

from rtl import config
from rtl.board import load_board
from rtl.errors import UserError
from rtl.resources.memories import block_memories
from rtl.resources.room import FAMILY, require_room
from rtl.soc.ulx3s import BLOCK_RAMS

BOARD = load_board("ulx3s")


def test_the_board_s_engine_has_room():
    require_room(BOARD, config.ULX3S, BLOCK_RAMS)
    used = 2 * sum(block_memories(config.ULX3S, FAMILY).values()) + BLOCK_RAMS
    assert used == 148  # as nextpnr counts them: docs/design/0017-ulx3s.md


@pytest.mark.parametrize(
    ("engine", "excess"),
    [
        (replace(config.ULX3S, activation_words=1 << 14), "block RAMs 209 + 74 > 208"),
        (replace(config.ULX3S, token_lanes=14), "multipliers 169 + 0 > 156"),
    ],
)
def test_what_is_too_large(engine, excess):
    message = f"engine '{engine.name}' does not fit board 'ulx3s' with what is around it: {excess};"
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        require_room(BOARD, engine, BLOCK_RAMS)
