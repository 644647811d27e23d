"""Supernet: subnets share weights, quantized mode follows float mode, state survives."""

from dataclasses import replace
from math import exp

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from nas.space import Arch, Space
from nas.supernet.export import export
from nas.supernet.initial import calibrate
from nas.supernet.supernet import Supernet, SupernetConfig


@pytest.fixture
def net(tiny_config, tiny_data) -> Supernet:
    torch.manual_seed(0)
    made = Supernet(tiny_config.supernet)
    calibrate(made, tiny_data.train.pixels)
    return made


def test_subnet_equals_a_supernet_of_its_size(net, tiny_config, tiny_data):
    space = net.config.space
    alone_space = Space(
        **{
            **vars(space),
            "widths": space.widths[:1],
            "depths": space.depths[:1],
            "heads": space.heads[:1],
            "mlp_ratios": space.mlp_ratios[:1],
        }
    )
    alone = Supernet(SupernetConfig(alone_space, pixel_mean=(40,), pixel_std=60.0))
    alone.residual_scale = net.residual_scale
    shared = net.state_dict()
    with torch.no_grad():
        for name, parameter in alone.named_parameters():
            parameter.copy_(shared[name][tuple(slice(size) for size in parameter.shape)])
    images = tiny_data.validation.pixels
    arch = space.smallest(0.5)
    torch.testing.assert_close(alone(images, arch), net(images, arch))
    assert torch.equal(alone.quantized(images, arch), net.quantized(images, arch))


def test_quantized_mode_follows_float_mode(net, tiny_data):
    images = tiny_data.validation.pixels
    arch = net.config.space.largest(1.0)
    exact, coded = net(images, arch), net.quantized(images, arch)
    assert (exact - coded).square().mean() < 0.15 * exact.square().mean()


def test_taps_name_the_tensors_and_may_replace_them(net, tiny_data):
    images = tiny_data.validation.pixels[:2]
    arch = net.config.space.largest()
    shapes = {}

    def tap(name, values):
        shapes[name] = tuple(values.shape[1:])
        return torch.zeros_like(values) if name == "norm" else values

    logits = net.quantized(images, arch, tap)
    assert shapes["pixels"] == (4, 16) and shapes["embed"] == (5, 16)
    assert shapes["blocks.0.attention"] == (2, 5, 5)
    assert shapes["blocks.1.attention"] == (2, 1, 5)  # the last block: the class token alone
    assert shapes["blocks.1.k"] == (5, 16) and shapes["blocks.1.q"] == (1, 16)
    assert shapes["logits"] == (3,)
    assert torch.equal(logits[0], logits[1])


def test_state_carries_order_and_residual_scale(net, tiny_data):
    net.order = {"embed": [2, 1, 0, 3], "head": [0]}
    twin = Supernet(net.config)
    twin.load_state_dict(net.state_dict())
    assert twin.order == net.order and twin.residual_scale == net.residual_scale
    arch = net.config.space.largest(0.5)
    images = tiny_data.validation.pixels
    assert torch.equal(net.quantized(images, arch), twin.quantized(images, arch))
    assert twin.shape(arch).embed_bits8 == (False, True, True, False)


def test_config_refuses_what_it_cannot_be(tiny_space):
    with pytest.raises(ValueError, match=r"act_bits must be one of \(4, 6, 8\), not 5"):
        SupernetConfig(tiny_space, (40,), 60.0, act_bits=5)
    with pytest.raises(ValueError, match="pixel_mean must have 1 channels, not 3"):
        SupernetConfig(tiny_space, (1, 2, 3), 60.0)


def test_layer_scaling_of_its_own_for_each_width_and_depth(tiny_config, tiny_data):
    torch.manual_seed(0)
    net = Supernet(replace(tiny_config.supernet, switched_gains=True))
    calibrate(net, tiny_data.train.pixels)
    images, space = tiny_data.validation.pixels[:4], net.config.space
    archs = space.largest(), space.smallest()

    def results(arch):
        model = export(
            net, arch, class_names=("a", "b", "c"), preprocessing=tiny_data.preprocessing
        )
        proj = model.blocks[0].proj
        factor = torch.from_numpy(proj.multiplier / 2.0**proj.shift)
        return net(images, arch), net.quantized(images, arch), factor

    before = [results(arch) for arch in archs]
    with torch.no_grad():
        net.gains(0, archs[1])[0].fill_(0.5)
    large, small = (results(arch) for arch in archs)
    assert all(torch.equal(a, b) for a, b in zip(large, before[0], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(small, before[1], strict=True))
    torch.testing.assert_close(small[2], before[1][2] * exp(0.5), rtol=1e-4, atol=0)


@pytest.fixture
def selecting(tiny_config, tiny_data) -> Supernet:
    """A supernet of 16 patches, of which its blocks but the last may keep half."""
    torch.manual_seed(0)
    space = replace(tiny_config.supernet.space, patch=2, depths=(1, 3), keeps=(0.5,))
    made = Supernet(replace(tiny_config.supernet, space=space))
    calibrate(made, tiny_data.train.pixels)
    return made


def halving(net: Supernet, fraction: float = 0.5) -> Arch:
    """The largest subnet, which keeps 8 and then 4 patches."""
    arch = net.config.space.largest(fraction)
    blocks = (*(replace(block, keep=0.5) for block in arch.blocks[:2]), arch.blocks[2])
    return replace(arch, blocks=blocks)


@pytest.mark.parametrize("mode", ["forward", "quantized"])
def test_selected_tokens_go_on_and_the_others_do_not(selecting, tiny_data, mode):
    images, arch, seen = tiny_data.validation.pixels[:4], halving(selecting), {}

    def tap(name, values):
        seen[name] = values
        return values

    run = getattr(selecting, mode)
    logits = run(images, arch, tap)
    tokens = {name: seen[f"blocks.{i}.{name}"].shape[1] for i in (1,) for name in ("k", "output")}
    assert tokens == {"k": 9, "output": 5}
    for index, count in ((0, 16), (1, 8)):
        block = f"blocks.{index}."
        found, kept = seen[block + "importance"], seen[block + "kept"]
        assert found.shape == (4, count) and kept.shape == (4, count // 2 + 1)
        threshold = found.sort(1).values[:, count // 2 - 1]
        chosen = found.gather(1, kept[:, :-1])
        assert (chosen.min(1).values >= threshold).all()
    assert len({tuple(each) for each in seen["blocks.0.kept"].tolist()}) > 1  # image by image

    def moved(name, values):
        # What the dropped tokens hold behind the attention has no effect.
        if name == "blocks.0.context":
            stays = torch.zeros(values.shape[:2], dtype=torch.bool)
            stays.scatter_(1, seen["blocks.0.kept"], True)
            return values * stays.unsqueeze(-1)
        return values

    assert torch.equal(run(images, arch, moved), logits)


def test_keeping_all_is_as_without_a_choice(selecting, tiny_config, tiny_data):
    space = replace(selecting.config.space, keeps=())
    plain = Supernet(replace(tiny_config.supernet, space=space))
    plain.load_state_dict(selecting.state_dict())
    images, arch = tiny_data.validation.pixels, space.largest(0.5)
    assert torch.equal(plain.quantized(images, arch), selecting.quantized(images, arch))
    assert torch.equal(plain(images, arch), selecting(images, arch))


def test_gradients_pass_the_selection(selecting, tiny_data):
    part = tiny_data.train.take(range(8))
    logits = selecting.quantized(part.pixels, halving(selecting))
    functional.cross_entropy(logits, part.labels).backward()
    for name, parameter in selecting.named_parameters():
        used = "blocks" in name or name in ("embed.weight", "position")
        if used and name.endswith(("weight", "position")):
            assert parameter.grad.abs().max() > 0, name


class Synchronisations(TorchDispatchMode):
    """Operations in which the host waits for values of the device."""

    NAMES = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name() in self.NAMES:
            self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


def test_a_step_does_not_wait_for_the_device(net, tiny_data):
    arch, part = net.config.space.largest(0.5), tiny_data.train.take(range(4))
    with Synchronisations() as found:
        loss = functional.cross_entropy(net.quantized(part.pixels, arch), part.labels)
        loss.backward()
    assert found.seen == []
    with found:
        loss.item()
    assert found.seen == ["aten::_local_scalar_dense"]
