"""Initial scales: least error on real values, headroom of the residual stream."""

import pytest
import torch

from nas.numerics.codes import INT16
from nas.supernet import initial
from nas.supernet.initial import RESIDUAL_HEADROOM, SAMPLES, TensorSample, calibrate
from nas.supernet.steps import best_step
from nas.supernet.supernet import Supernet


@pytest.fixture
def calibrated(tiny_config, tiny_data):
    """A supernet with random weights, and its real values on the training images."""
    torch.manual_seed(0)
    net, values = Supernet(tiny_config.supernet), {}
    calibrate(net, tiny_data.train.pixels)
    with torch.no_grad():
        net(tiny_data.train.pixels, net.config.space.largest(), values.setdefault)
    return net, values


def test_the_residual_stream_has_headroom(calibrated):
    net, values = calibrated
    stream = [v for name, v in values.items() if name.endswith(("embed", "attended", "output"))]
    assert len(stream) == 5
    largest = max(float(value.abs().max()) for value in stream)
    assert largest / net.residual_scale == pytest.approx(INT16[1] / RESIDUAL_HEADROOM)


def sample(tensor, parts=1):
    found = TensorSample(tensor.numel())
    for part in tensor.chunk(parts):
        found.take(part)
    return found.values


@pytest.mark.parametrize("count", [60, 3 * SAMPLES])
def test_a_tensor_in_parts_is_sampled_as_a_whole(count):
    tensor = torch.rand(count, 7)
    assert torch.equal(sample(tensor), sample(tensor, parts=4))
    assert count > 60 or torch.equal(sample(tensor), tensor.flatten())


def test_images_in_portions_give_the_same_scales(calibrated, tiny_data, monkeypatch):
    net, _ = calibrated
    expected = {name: value.clone() for name, value in net.named_parameters()}
    scale, sizes = net.residual_scale, []
    forward = type(net).forward
    monkeypatch.setattr(initial, "forward_images", lambda shape, most: 50)
    monkeypatch.setattr(type(net), "forward", lambda *of: sizes.append(len(of[1])) or forward(*of))
    calibrate(net, tiny_data.train.pixels)
    assert sizes == [50, 50, 50, 42]
    assert net.residual_scale == pytest.approx(scale)
    for name, value in net.named_parameters():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize("channels", [16, 48, 64, 768])
def test_every_channel_is_sampled_alike(channels):
    tensor = torch.arange(channels).expand(8 * SAMPLES // channels, channels)
    counts = torch.bincount(sample(tensor), minlength=channels)
    mean = SAMPLES / channels
    assert counts.sum() == SAMPLES and (counts - mean).abs().max() < 5 * mean**0.5
    assert torch.equal(sample(tensor), sample(tensor))


@pytest.mark.parametrize(
    ("name", "limits"), [("q", (-32, 31)), ("k", (-128, 127)), ("hidden", (-4, 59))]
)
def test_scales_have_the_least_error(calibrated, name, limits):
    net, values = calibrated
    tensor = sample(values[f"blocks.1.{name}"])
    scale = getattr(net.block(1), f"{name}_scale").log.exp()
    torch.testing.assert_close(scale, best_step(tensor.reshape(1, -1), *limits).squeeze(0))


def test_steps_of_both_precisions(calibrated):
    layer = calibrated[0].block(0).fc1
    four, eight = layer.log_step.exp()
    torch.testing.assert_close(four, best_step(layer.weight, -8, 7))
    torch.testing.assert_close(eight, best_step(layer.weight, -128, 127))
    assert (four > 4 * eight).all()
