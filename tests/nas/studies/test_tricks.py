"""Tricks of other papers: what each changes in a step, and the study as a command."""

import json
from math import log

import numpy as np
import pytest
import torch

from nas.digits import recipe
from nas.studies import tricks
from nas.studies.__main__ import main
from nas.studies.supernet import USED
from nas.studies.tricks import KINDS, AttentionMaps, FewPatches, HardHalf, recipes
from nas.supernet.initial import calibrate
from nas.supernet.supernet import Supernet
from nas.training.batches import Batches
from nas.training.trainer import Trainer
from rtl.cli import command


@pytest.fixture
def images(tiny_data):
    return tiny_data.train.take(np.arange(12))


@pytest.fixture
def net(tiny_config, images):
    torch.manual_seed(0)
    net = Supernet(tiny_config.supernet)
    calibrate(net, images.pixels, net.config.space.largest())
    return net


def of_quantized_step(kind, short, tiny_data, tmp_path):
    """Return a trainer whose next step is the first of the quantized stage."""
    trainer = kind(short, tiny_data, tmp_path / f"{kind.__name__}.pt")
    while trainer.step < trainer.float_steps:
        trainer.advance()
    return trainer


def test_recipes_take_equal_steps_but_one_equal_time():
    used, *others = recipes(recipe()).values()
    assert (used.float_epochs, used.quantized_epochs) == (10, 10)
    assert all(each == used for each in others[:-1])
    assert (others[-1].float_epochs, others[-1].quantized_epochs) == (11, 11)
    assert list(recipes(recipe())) == [USED, *KINDS]


@pytest.mark.parametrize("kind", [tricks.SpreadingTrainer, tricks.LikeFloatTrainer])
def test_losses_on_attention_begin_with_the_quantized_stage(kind, short, tiny_data, tmp_path):
    plain = of_quantized_step(Trainer, short, tiny_data, tmp_path)
    other = of_quantized_step(kind, short, tiny_data, tmp_path)
    for a, b in zip(plain.net.parameters(), other.net.parameters(), strict=True):
        assert torch.equal(a, b)
    [without, losses] = plain.advance(), other.advance()
    assert losses.keys() == without.keys() and all(losses[n] != without[n] for n in losses)


def test_entropy_rewards_spread_codes(net, images, short, tiny_data, tmp_path):
    trainer = of_quantized_step(tricks.SpreadingTrainer, short, tiny_data, tmp_path)
    arch, spreads = trainer.first, []

    def tap(name, tensor):
        if name.endswith((".q", ".k")):
            spreads.append(float(tensor.detach().std()))
        return tensor

    trainer._begin_elasticity()
    trainer._begin_quantized_stage()
    plain = trainer.net.quantized(images.pixels, arch, tap)
    logits = trainer._logits(images.pixels, "largest", arch)
    assert torch.equal(logits, plain)
    args = logits, images.labels, None, None
    gain = Trainer._loss(trainer, *args) - trainer._loss(*args)
    assert float(gain.detach()) == pytest.approx(tricks.ENTROPY * sum(map(log, spreads)), rel=1e-4)


def test_attention_weights_in_float_mode(net, images):
    arch = net.config.space.largest()
    maps = AttentionMaps(net.config.space.head_dim)
    net(images.pixels, arch, maps)
    first, last = maps.found
    tokens, heads = len(net.position), arch.blocks[0].heads
    assert first.shape == (12, heads, tokens, tokens) and last.shape == (12, heads, 1, tokens)
    assert torch.allclose(first.sum(-1), torch.ones(12, heads, tokens))
    codes = []
    net.quantized(images.pixels, arch, lambda n, t: codes.append((n, t)) or t)
    quantized = dict(codes)["blocks.0.attention"]
    likeness = torch.cosine_similarity(quantized, first, -1)
    assert likeness.min() > 0.9  # random weights: nearly even


def test_later_epochs_take_the_harder_half(short, tiny_data):
    plain, half = Batches(short, tiny_data.train), HardHalf(short, tiny_data.train)
    steps = half.steps_per_epoch
    for step in range(steps):
        assert np.array_equal(plain.positions(step), half.positions(step))
    half.losses[:] = np.arange(len(half.losses)) % 7
    seen = np.concatenate([half.positions(step) for step in range(steps, 2 * steps)])
    ranks = np.sort(half.losses)[::-1]
    assert half.losses[seen].min() >= ranks[(len(ranks) + 1) // 2 - 1]
    assert np.unique(seen, return_counts=True)[1].max() == 2


def test_losses_are_noted_of_the_images_that_a_step_took(short, tiny_data, tmp_path):
    trainer = tricks.HardHalfTrainer(short, tiny_data, tmp_path / "run.pt")
    taken = trainer.batches.positions(0)
    trainer.advance()
    noted = np.flatnonzero(np.isfinite(trainer.batches.losses))
    assert np.array_equal(noted, np.sort(taken))


@pytest.mark.parametrize("quantized", [False, True])
def test_the_class_token_decides_which_patches_stay(net, images, quantized):
    run = net.quantized if quantized else net
    arch, shapes, seen = net.config.space.largest(), {}, {}
    few = FewPatches(None if quantized else AttentionMaps(net.config.space.head_dim))

    def tap(name, tensor):
        seen[name] = tensor
        tensor = few(name, tensor)
        shapes[name] = tensor.shape[1]
        return tensor

    logits = run(images.pixels, arch, tap)
    assert torch.isfinite(logits).all()
    tokens = len(net.position)
    assert shapes["blocks.0.attended"] == tokens
    assert shapes["blocks.0.output"] == shapes["blocks.1.k"] == tokens // 2 + 1
    before = seen["blocks.0.output"]
    after = FewPatches.__call__(few, "blocks.0.output", before)
    weights = few._weights[..., :-1].mean(1)
    for image in range(12):
        kept = weights[image].argsort(descending=True)[: tokens // 2].sort().values
        assert torch.equal(after[image, :-1], before[image, kept])
        assert torch.equal(after[image, -1], before[image, -1])


def test_the_study_writes_all_recipes(tmp_path):
    args = ("tricks", "--quick", "--subnets", "3", "--seeds", "1", "--out", str(tmp_path))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    report = json.loads((tmp_path / "tricks-0.json").read_text())
    assert [each["name"] for each in report["recipes"]] == [USED, *KINDS]
    assert all(each["difference"]["mean"] != 0 for each in report["recipes"][1:])
