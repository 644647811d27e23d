"""Groups of parameters, and one cycle of the rate."""

import pytest

from nas.supernet.supernet import Supernet
from nas.training.optimizer import one_cycle, optimizer_of, set_rate


@pytest.fixture
def net(tiny_config):
    return Supernet(tiny_config.supernet)


@pytest.fixture
def optimizer(net, tiny_config):
    return optimizer_of(net, tiny_config)


def test_only_weights_decay(net, optimizer):
    names = {id(value): name for name, value in net.named_parameters()}
    weights, scales, rest = (
        {names[id(value)] for value in group["params"]} for group in optimizer.param_groups
    )
    assert all(name.endswith(".weight") for name in weights) and "embed.weight" in weights
    assert {"norm_scale", "embed"} <= {name.partition(".")[0] for name in scales}
    assert {"position", "head.bias"} <= rest
    assert weights | scales | rest == set(names.values())
    assert [group["weight_decay"] > 0 for group in optimizer.param_groups] == [
        True, False, False,
    ]  # fmt: skip


def test_scales_have_a_rate_of_their_own(optimizer, tiny_config):
    set_rate(optimizer, 0.1)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.1, 0.1 * tiny_config.scale_rate, 0.1])


def test_a_cycle_begins_low_is_highest_at_30_percent_and_ends_at_nothing():
    assert one_cycle(2.0, 0.0) == pytest.approx(0.08)
    assert one_cycle(2.0, 0.3) == pytest.approx(2.0, rel=1e-2)
    assert one_cycle(2.0, 0.299) < one_cycle(2.0, 0.3) > one_cycle(2.0, 0.4)
    assert one_cycle(2.0, 1.0) == pytest.approx(2e-3)
