"""Quantized mode against golden: a fault shows at the operation that has it, and nowhere else."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from nas.supernet import contract
from nas.supernet.contract import compare
from nas.supernet.export import export
from nas.training.checkpoint import load_supernet


@pytest.fixture(scope="module")
def net(tiny_checkpoint):
    return load_supernet(tiny_checkpoint)


@pytest.fixture(scope="module")
def arch(net):
    return net.config.space.largest(0.5)


@pytest.fixture(scope="module")
def model(net, arch, tiny_data):
    return export(
        net, arch, class_names=tiny_data.class_names, preprocessing=tiny_data.preprocessing
    )


def test_every_tensor_of_golden_is_compared(net, arch, model, tiny_data):
    equal = compare(net, arch, model, tiny_data.validation)
    blocks = [name for name in equal if name.startswith("blocks.1.")]
    assert len(blocks) == 11 and {"pixels", "embed", "norm", "logits"} <= equal.keys()
    assert min(equal.values()) >= 0.999


def test_another_weight_shows_in_its_layer_alone(net, arch, model, tiny_data):
    changed = deepcopy(net)
    with torch.no_grad():
        changed.block(0).proj.weight[3] *= -1
    equal = compare(changed, arch, model, tiny_data.validation)
    assert equal.pop("blocks.0.attended") < 0.99
    assert min(equal.values()) >= 0.999


def test_another_model_shows(net, arch, model, tiny_data):
    output = model.classifier
    output = replace(output, head=replace(output.head, bias=output.head.bias + 1000))
    equal = compare(net, arch, replace(model, output=output), tiny_data.validation)
    assert equal.pop("logits") < 0.01 <= min(equal.values())


def test_a_tensor_that_is_not_named_is_refused(net, arch, model, tiny_data, monkeypatch):
    monkeypatch.setattr(
        type(net), "quantized", lambda self, images, arch, tap=None: self(images, arch, None)
    )
    with pytest.raises(ValueError, match="quantized mode does not name the tensors"):
        compare(net, arch, model, tiny_data.validation)


def test_images_in_portions_are_compared_alike(net, arch, model, tiny_data, monkeypatch):
    whole = compare(net, arch, model, tiny_data.validation)
    monkeypatch.setattr(contract, "kept_images", lambda shape, most: 7)
    assert compare(net, arch, model, tiny_data.validation) == whole
