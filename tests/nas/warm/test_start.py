"""The supernet with a network's weights gives the network's logits, and trains on from there."""

from dataclasses import replace

import pytest
import torch

from nas.importer import load
from nas.supernet.supernet import Supernet
from nas.warm.fit import read_fitting
from nas.warm.source import NetworkSource, content_hash
from nas.warm.start import begin, head_rows, start_from
from rtl.errors import UserError
from tests.nas.importer import transformers_folders
from tests.nas.importer.timm_models import CONFIG, normalised, pixels
from tests.nas.warm.networks import NAMES, SPACE, source_of, supernet


def difference(found, expected) -> float:
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("vit_tiny_patch16_224", {}),
        ("deit_small_patch16_224", {"qkv_bias": False}),
        ("deit3_small_patch16_224", {}),  # with layer scaling
        ("deit3_small_patch16_224", {"no_embed_class": False, "img_size": 40}),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg", "fc_norm": False}),
    ],
)
def test_logits_are_the_networks(tmp_path, architecture, arguments):
    source, model = source_of(tmp_path, architecture, **arguments)
    size = arguments.get("img_size", 32)
    pool = "mean" if "global_pool" in arguments else "token"
    space = replace(SPACE, image=(size, size, 3), pool=pool)
    network, net = read_fitting(source, space), supernet(space)
    if architecture.startswith("deit3"):
        scales = torch.stack([block.scale1 for block in network.blocks])
        assert (scales < 0).any() and (scales > 0).any()
    assert start_from(net, network, NAMES)
    images = pixels(size)
    expected = model.double()(normalised(images, CONFIG["mean"], CONFIG["std"]))
    assert difference(net(images, space.largest()), expected) < 1e-5
    assert difference(net(images, space.smallest()), expected) > 1e-2


def test_a_folder_of_transformers(tmp_path):
    model = transformers_folders.saved(tmp_path, "vit", "vit.", num_classes=4)
    network = read_fitting(NetworkSource(str(tmp_path)), SPACE)
    assert network.norm
    net = supernet(epsilon=network.norm.epsilon)
    assert start_from(net, network, NAMES)
    statistics = [transformers_folders.PROCESSOR[name] for name in ("image_mean", "image_std")]
    expected = model.double()(normalised(pixels(), *statistics))
    assert difference(net(pixels(), SPACE.largest()), expected) < 1e-5


def test_an_epsilon_of_its_own(tmp_path):
    """Residual streams this small would show another one: 1e-6 against 1e-3."""
    source, model = source_of(tmp_path)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-3
    network = read_fitting(source, SPACE)
    blocks = [
        replace(b, norm1=replace(b.norm1, epsilon=1e-3), norm2=replace(b.norm2, epsilon=1e-3))
        for b in network.blocks
    ]
    assert network.norm
    norm = replace(network.norm, epsilon=1e-3)
    changed = replace(network, blocks=tuple(blocks), norm=norm)
    expected = model.double()(normalised(pixels(), CONFIG["mean"], CONFIG["std"]))
    for epsilon, least, most in ((1e-3, 0, 1e-5), (1e-6, 1e-5, 1)):
        net = supernet(epsilon=epsilon)
        start_from(net, changed, NAMES)
        assert least <= difference(net(pixels(), SPACE.largest()), expected) < most


def test_layer_scaling_of_nothing(tmp_path):
    source, model = source_of(tmp_path, "deit3_small_patch16_224")
    network, net = read_fitting(source, SPACE), supernet()
    block = network.blocks[1]
    block.scale2[3] = 0
    model.blocks[1].ls2.gamma.data[3] = 0
    start_from(net, network, NAMES)
    assert net.block(1).log_mlp_gain.isfinite().all()
    expected = model.double()(normalised(pixels(), CONFIG["mean"], CONFIG["std"]))
    assert difference(net(pixels(), SPACE.largest()), expected) < 1e-5


def test_layer_scaling_of_all_switches(tmp_path):
    source, _ = source_of(tmp_path, "deit3_small_patch16_224")
    network, plain = read_fitting(source, SPACE), supernet()
    net = Supernet(replace(plain.config, switched_gains=True))
    for each in (net, plain):
        start_from(each, network, NAMES)
    found, expected = (each(pixels(), SPACE.largest()) for each in (net, plain))
    assert torch.equal(found, expected)


def test_classes_go_by_their_names(tmp_path):
    source, _ = source_of(tmp_path)
    network = load(source.name)
    assert head_rows(network, NAMES) == [0, 1, 2, 3]
    named = replace(network, class_names=("dog", "cat", "bee", "ant"))
    assert head_rows(named, NAMES) == [3, 2, 1, 0]
    assert head_rows(named, ("dog", "cat", "bee", "cow")) is None
    assert head_rows(network, NAMES[:3]) is None
    net = supernet()
    assert start_from(net, named, NAMES)
    same = supernet()
    assert start_from(same, network, NAMES)
    assert torch.equal(net.head.weight, same.head.weight.flip(0))
    assert net.head.bias is not None and same.head.bias is not None
    assert torch.equal(net.head.bias, same.head.bias.flip(0))


@pytest.mark.parametrize("classes", [0, 9])
def test_a_new_classifier_for_other_classes(tmp_path, classes):
    source, _ = source_of(tmp_path, num_classes=classes)
    network, net = read_fitting(source, SPACE), supernet()
    before = net.head.weight.clone()
    assert not start_from(net, network, NAMES)
    assert torch.equal(net.head.weight, before)
    assert net.position.allclose(network.position.float())


def test_a_network_that_has_changed_is_refused(tmp_path):
    source, _ = source_of(tmp_path)
    source = replace(source, sha256=content_hash(read_fitting(source, SPACE)))
    net = supernet()
    before = net.embed.weight.clone()
    begin(net, source, NAMES)
    assert not torch.equal(net.embed.weight, before)
    with pytest.raises(UserError, match="has changed since the command began"):
        begin(net, replace(source, sha256="0" * 64), NAMES)
