"""Export: a valid integer model whose codes are those of quantized mode, operation by operation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.data import ImageSet
from nas.numerics.integer import IntegerNetwork
from nas.supernet.contract import compare
from nas.supernet.export import export
from nas.supernet.initial import calibrate
from nas.supernet.supernet import Supernet, SupernetConfig
from nas.training.checkpoint import load_supernet
from rtl.errors import UserError
from rtl.model import IntegerModel, Preprocessing
from sim import golden
from sim.random_model import random_images


@pytest.fixture(scope="module")
def net(tiny_checkpoint) -> Supernet:
    return load_supernet(tiny_checkpoint)


def exported(net, arch, data, **more) -> IntegerModel:
    names, preprocessing = data.class_names, data.preprocessing
    return export(net, arch, class_names=names, preprocessing=preprocessing, **more)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", ["largest", "smallest"])
def test_operations_agree_with_golden(net, tiny_data, size, fraction):
    arch = getattr(net.config.space, size)(fraction)
    model, images = exported(net, arch, tiny_data), tiny_data.validation
    equal = compare(net, arch, model, images)
    assert min(equal.values()) >= 0.999, equal
    assert {"pixels", "blocks.0.scores", "blocks.0.hidden", "logits"} <= equal.keys()
    answers = net.quantized(images.pixels, arch).argmax(1).numpy()
    same = answers == golden.run(model, images.pixels.numpy()).argmax(1)
    assert same.mean() >= 0.98  # 60 images: one may differ


@pytest.mark.parametrize("change", [{"act_bits": 4}, {"act_bits": 8}, {"signed_hidden": True}])
def test_other_codes_agree_with_golden(net, tiny_data, change):
    other = Supernet(replace(net.config, **change))
    other.load_state_dict(net.state_dict())
    if "act_bits" in change:
        for name, parameter in other.named_parameters():
            if name.endswith(("norm_scale.log", "norm1_scale.log", "norm2_scale.log")):
                parameter.data += np.log(2.0) * (6 - change["act_bits"])
    arch = other.config.space.largest(0.5)
    equal = compare(other, arch, exported(other, arch, tiny_data), tiny_data.validation)
    assert min(equal.values()) >= 0.999, equal


@pytest.mark.parametrize("keeps", [(3, 1), (8, 3), (None, 15), (1, None)])
@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_selected_tokens_agree_with_golden(tiny_config, tiny_data, act_bits, keeps):
    space = replace(tiny_config.supernet.space, patch=2, depths=(3,), keeps=(1, 3, 8, 15))
    torch.manual_seed(0)
    net = Supernet(replace(tiny_config.supernet, space=space, act_bits=act_bits))
    calibrate(net, tiny_data.train.pixels)
    arch = space.largest(0.5)
    chosen = zip(arch.blocks, (*keeps, None), strict=True)
    arch = replace(arch, blocks=tuple(replace(block, keep=keep) for block, keep in chosen))
    model = exported(net, arch, tiny_data)
    assert [block.keep for block in model.blocks] == [*keeps, None]
    images = tiny_data.validation.take(range(60))
    images.pixels[0] = 0  # blank: many patches are equal
    equal = compare(net, arch, model, images)
    assert min(equal.values()) >= 0.999, equal
    names = {f"blocks.{index}.kept" for index, keep in enumerate(keeps) if keep}
    assert {name for name in equal if name.endswith("kept")} == names


def test_colour_images_agree_with_golden(net):
    space = replace(net.config.space, image=(8, 12, 3))
    torch.manual_seed(0)
    colour = Supernet(SupernetConfig(space, pixel_mean=(124, 116, 104), pixel_std=58.0))
    images = ImageSet(
        torch.from_numpy(random_images(space.image, 40)), torch.zeros(40, dtype=torch.int64)
    )
    calibrate(colour, images.pixels)
    preprocessing = Preprocessing(crop=(8, 12), mode="RGB", resize=8)
    arch = space.largest(0.5)
    model = export(colour, arch, class_names=("a", "b", "c"), preprocessing=preprocessing)
    equal = compare(colour, arch, model, images)
    assert min(equal.values()) >= 0.999, equal


@pytest.mark.parametrize("act_bits", [6, 8])
def test_the_mean_of_the_patches_agrees_with_golden(net, tiny_data, act_bits):
    space = replace(net.config.space, pool="mean")
    torch.manual_seed(0)
    pooled = Supernet(replace(net.config, space=space, act_bits=act_bits))
    calibrate(pooled, tiny_data.train.pixels)
    for arch in (space.largest(0.5), space.smallest(1.0)):
        model = exported(pooled, arch, tiny_data)
        assert model.shape == pooled.shape(arch) and model.shape.mean_pool
        assert model.tokens == 4  # patches alone
        equal = compare(pooled, arch, model, tiny_data.validation)
        assert min(equal.values()) >= 0.999, equal
        assert {"pool.values", "pool.weights", "pool"} <= equal.keys()
        tensors = {}
        IntegerNetwork(model).run(tiny_data.validation.pixels, tensors=tensors)
        assert len(tensors["pool"].unique()) > 8 << (act_bits - 6)


def test_model_has_the_subnet_s_sizes_and_tiles(net, tiny_data):
    arch = net.config.space.sample(np.random.default_rng(3))
    model = exported(net, arch, tiny_data)
    assert model.shape == net.shape(arch)
    assert model.class_names == ("row", "column", "line")
    assert model.info["arch"] == arch.to_json()


def test_logits_are_real_values_and_cannot_saturate(net, tiny_data):
    arch = net.config.space.largest(0.0)
    model = exported(net, arch, tiny_data)
    images = tiny_data.validation.pixels
    logits = golden.run(model, images.numpy()) * model.classifier.output_scale
    np.testing.assert_allclose(logits, net.quantized(images, arch).numpy(), atol=0.1)
    bound = np.abs(model.classifier.head.weight.astype(np.int64)).sum(1) * 32 + np.abs(
        model.classifier.head.bias
    )
    highest = bound * model.classifier.head.multiplier / 2.0**model.classifier.head.shift
    assert 0.9 * 32767 < highest.max() < 32767


def test_export_is_deterministic_and_survives_the_file(net, tiny_data, tmp_path):
    arch = net.config.space.largest(0.5)
    first, second = (exported(net, arch, tiny_data) for _ in range(2))
    assert first.hash == second.hash
    first.save(tmp_path / "model.pulsar")
    assert IntegerModel.load(tmp_path / "model.pulsar").hash == first.hash


def test_export_refuses_what_no_accumulator_holds(net, tiny_data):
    broken = Supernet(net.config)
    broken.load_state_dict(net.state_dict())
    with torch.no_grad():
        broken.block(0).fc1.get_parameter("bias")[1] = 1e9
    with pytest.raises(UserError, match=r"blocks\.0\.fc1 row 1: \|bias\|"):
        exported(broken, broken.config.space.largest(), tiny_data)
