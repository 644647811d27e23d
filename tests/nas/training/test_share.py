"""Shares of a batch: together they are all of it, and mirrored positions stay together."""

import pytest
import torch

from nas.training.share import Share


@pytest.mark.parametrize(("whole", "processes"), [(64, 1), (64, 2), (64, 3), (7, 2), (6, 3)])
def test_shares_are_the_batch(whole, processes):
    shares = [Share.of(whole, process, processes) for process in range(processes)]
    positions = torch.cat([share.positions for share in shares])
    assert sorted(positions.tolist()) == list(range(whole))
    assert sum(share.weight for share in shares) == pytest.approx(1)
    for share in shares:
        mirrored = whole - 1 - share.positions
        assert torch.equal(mirrored.flip(0), share.positions)


def test_a_process_beyond_the_batch_has_nothing():
    assert len(Share.of(4, 2, 3).positions) == 0
