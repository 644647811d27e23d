"""Drop path: branches are gone or grown, image by image, in both modes."""

from dataclasses import replace

import pytest
import torch

from nas.supernet.initial import calibrate
from nas.supernet.selection import gathered
from nas.supernet.supernet import Supernet
from nas.training.drop_path import DropPath
from nas.training.share import Share

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net(tiny_config, tiny_data):
    torch.manual_seed(0)
    net = Supernet(tiny_config.supernet)
    calibrate(net, tiny_data.train.pixels[:32])
    return net


def dropping(rate, share, *, codes, seed=0):
    return DropPath(rate, 2, torch.Generator().manual_seed(seed), share, CPU, codes=codes)


def residual(net, images, tap, *, codes):
    """Return the residual stream behind each branch of the largest subnet."""
    seen = {}

    def watch(name, tensor):
        tensor = tap(name, tensor)
        seen[name] = tensor.detach()
        return tensor

    run = net.quantized if codes else net
    run(images, net.config.space.largest(), watch).sum().backward()
    names = ["embed", *(f"blocks.{i}.{end}" for i in range(2) for end in ("attended", "output"))]
    return [seen[name] for name in names]


@pytest.mark.parametrize("codes", [False, True])
def test_nothing_is_dropped_at_rate_0(net, tiny_data, codes):
    images = tiny_data.train.pixels[:8]
    tap = dropping(0.0, Share.of(8), codes=codes)
    found = residual(net, images, tap, codes=codes)
    plain = residual(net, images, lambda name, tensor: tensor, codes=codes)
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("codes", [False, True])
def test_branches_of_the_last_block_go_at_the_rate_those_of_the_first_stay(net, tiny_data, codes):
    images = tiny_data.train.pixels
    _, attended, output, last, end = residual(
        net, images, dropping(0.5, Share.of(len(images)), codes=codes), codes=codes
    )
    plain = residual(net, images, lambda name, tensor: tensor, codes=codes)
    torch.testing.assert_close(attended, plain[1])
    torch.testing.assert_close(output, plain[2])
    before = output[:, -1:]
    gone = (last == before).flatten(1).all(1)
    assert 0.35 < gone.float().mean() < 0.65
    branch = plain[3] - plain[2][:, -1:]
    kept = (last - before)[~gone]
    torch.testing.assert_close(kept, (2 * branch)[~gone], rtol=1e-4, atol=1e-4)
    assert 0.35 < (end == last).flatten(1).all(1).float().mean() < 0.65
    if codes:
        assert all(torch.equal(tensor, tensor.round()) for tensor in (last, end))


def test_a_branch_that_goes_leaves_the_tokens_that_stay(tiny_config, tiny_data):
    torch.manual_seed(0)
    space = replace(tiny_config.supernet.space, patch=2, depths=(3,), keeps=(0.5,))
    net, images = Supernet(replace(tiny_config.supernet, space=space)), tiny_data.train.pixels[:64]
    drop = DropPath(0.9, 3, torch.Generator().manual_seed(0), Share.of(64), CPU, codes=False)
    seen = {}

    def watch(name, tensor):
        seen[name] = drop(name, tensor)
        return seen[name]

    net(images, space.smallest(), watch)
    stay = gathered(seen["blocks.0.output"], seen["blocks.1.kept"])
    gone = (seen["blocks.1.attended"] == stay).flatten(1).all(1)
    assert 0.25 < gone.float().mean() < 0.65  # at rate 0.45


def test_shares_drop_as_the_whole(net, tiny_data):
    images = tiny_data.train.pixels[:9]
    whole = residual(net, images, dropping(0.4, Share.of(9), codes=False), codes=False)
    for process in range(2):
        share = Share.of(9, process, 2)
        part = residual(
            net, images[share.positions], dropping(0.4, share, codes=False), codes=False
        )
        for a, b in zip(part, whole, strict=True):
            torch.testing.assert_close(a, b[share.positions])
