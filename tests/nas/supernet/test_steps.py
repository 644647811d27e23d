"""Initial steps: the least squared error."""

import pytest
import torch
from torch import Tensor

from nas.supernet.steps import best_step


def test_best_step_beats_the_range():
    x = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1], [5], [0.1]]
    )
    step = best_step(x, -8, 7)

    def error(step: Tensor) -> Tensor:
        return (
            (torch.floor(x / step[:, None] + 0.5).clamp(-8, 7) * step[:, None] - x).square().sum(1)
        )

    assert (error(step) < error(x.abs().amax(1) / 8)).all()
    assert step[1] / step[2] == pytest.approx(50, rel=0.2)
