"""Another image size: positions of the new grid, all else as it was."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import forward
from nas.importer.resample import at_size
from rtl.errors import UserError
from rtl.model import Preprocessing
from tests.nas.quantize.networks import random_network

WIDE = random_network(classes=0, pool="all", registers=1)  # 8 x 12 pixels, patches of 4
STEPS = Preprocessing(crop=(8, 8), mode="RGB", resize=10)
SQUARE = replace(
    WIDE, image=(8, 8, 3), position=WIDE.position[[0, 1, 3, 4, 6, 7]], preprocessing=STEPS
)


def test_positions_of_another_grid():
    large = at_size(replace(SQUARE, host=b"decoder"), 16)
    assert large.position.shape == (16 + 2, 24)
    assert torch.equal(large.position[-2:], SQUARE.position[-2:])
    assert large.preprocessing.crop == (16, 16) and large.preprocessing.resize == 20
    assert large.host is None
    first, second = large.source["notes"]
    assert first == "positions resampled from 2 x 2 to 4 x 4 patches" and "left out" in second
    images = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    assert forward(large, images).shape == (1, 18, 24)


def test_a_ramp_stays_a_ramp():
    ramp = torch.linspace(0, 1, 4).double()
    position = torch.cat([ramp.repeat(4)[:, None].expand(-1, 24), SQUARE.position[-2:]])
    small = at_size(replace(SQUARE, image=(16, 16, 3), position=position), 8)
    rows = small.position[:4, 0].view(2, 2)
    torch.testing.assert_close(rows[0], rows[1])
    assert 0 < rows[0, 0] < 0.5 < rows[0, 1] < 1


def test_the_same_size_is_the_same_network():
    torch.testing.assert_close(at_size(SQUARE, 8).position, SQUARE.position)


def test_patches_must_divide_the_size():
    with pytest.raises(UserError, match="10 is no multiple of the patch size 4: try 8"):
        at_size(SQUARE, 10)
