"""Weight blocks of many networks at once against the compiler's."""

from dataclasses import replace

import numpy as np
import pytest

from nas.cost.cutting import all_cuts, cut
from nas.cost.networks import Networks
from nas.cost.sizes import Sizes
from nas.cost.subnets import sample_subnets
from rtl import config
from rtl.board import load_board
from rtl.compiler import plan
from rtl.compiler.lowering import NetworkListing
from rtl.compiler.requests import WeightBlock


def compiled(shape, engine):
    """Ring words of the compiler's weight blocks in the order of their use."""
    blocks = {}
    for _, requests in NetworkListing(plan(shape, engine)).operations():
        for request in requests:
            if isinstance(request, WeightBlock):
                blocks[request] = request.words
    return list(blocks.values())


@pytest.mark.parametrize("board", ["zcu102", "sim"])
def test_blocks_are_those_of_the_compiler(board):
    board = load_board(board)
    engine = config.engine(board.engine)
    shapes = [sample.shape for sample in sample_subnets(board, engine, 30, seed=21)]
    sizes = Sizes(Networks.of_shapes(shapes), engine)
    cuts = [each[:] for each in all_cuts(sizes)]
    for i, shape in enumerate(shapes):
        words = np.concatenate([cut.words[i] for cut in cuts])
        assert list(words[words > 0]) == compiled(shape, engine)


def test_a_cut_repeated():
    """The second matrix twice, and the first once."""
    words = np.array([[100, 100, 0], [200, 200, 200]])
    engine = replace(config.TINY, weight_words=800)  # blocks of 200 words
    found = cut(words, np.zeros_like(words), engine).repeated(np.array([1, 2]))
    assert found.words.tolist() == [[200, 0, 0, 0, 0, 0], [200] * 6]
    assert found.group[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert found.ends[1].tolist() == [False, False, True] * 2
    assert found.part[1].sum() == pytest.approx(2)
