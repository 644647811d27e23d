"""Steps of training: rates, subnets, losses and gradients, averages, saving."""

import itertools
from copy import deepcopy
from dataclasses import replace
from math import cos, log, pi

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from nas.supernet.norm import SCALES
from nas.training.trainer import Trainer
from rtl.errors import UserError
from rtl.timing.bound import array_work


@pytest.fixture
def trainer(short, tiny_data, tmp_path):
    """A run of 6 + 6 steps that has not begun."""
    return Trainer(short, tiny_data, tmp_path / "run.pt")


def advance(trainer, steps):
    return [trainer.advance() for _ in range(steps)]


def parameters(trainer):
    return {name: value.detach().clone() for name, value in trainer.net.named_parameters()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


# ------------------------------------------------------------ rates


def test_one_cycle_of_the_rate_in_each_stage(tiny_config, tiny_data, tmp_path):
    config = replace(
        tiny_config, float_epochs=2, quantized_epochs=1, learning_rate=1e-2,
        quantized_learning_rate=1e-3, scale_rate=0.25,
    )  # fmt: skip
    trainer = Trainer(config, tiny_data, tmp_path / "run.pt")
    rates = []
    for _ in range(trainer.steps):
        trainer.advance()
        rates.append([group["lr"] for group in trainer.optimizer.param_groups])

    def expected(highest, done):
        if done < 0.3:
            return highest * (0.04 + 0.96 * (1 - cos(pi * done / 0.3)) / 2)
        return highest * (1e-3 + (1 + cos(pi * (done - 0.3) / 0.7)) / 2)

    whole = [expected(1e-2, i / 12) for i in range(12)] + [expected(1e-3, i / 6) for i in range(6)]
    for (weights, scales, rest), rate in zip(rates, whole, strict=True):
        assert weights == rest == pytest.approx(rate)
        assert scales == pytest.approx(0.25 * rate)
    assert max(rates)[0] == pytest.approx(1e-2, rel=0.01)


# ------------------------------------------------------------ subnets


def test_every_width_and_fraction_is_sampled(trainer):
    space = trainer.config.supernet.space
    widths, fractions, of_smallest = set(), set(), set()
    for turn in range(6):
        trainer.step = trainer.float_steps + turn
        subnets = trainer._subnets()
        assert list(subnets) == ["largest", "random0", "random1", "smallest"]
        widths |= {subnets["random0"].width, subnets["random1"].width}
        fraction = subnets["largest"].embed_bits8
        assert subnets["largest"] == space.largest(fraction)
        assert subnets["smallest"] == space.smallest(subnets["smallest"].embed_bits8)
        fractions.add(fraction)
        of_smallest.add(subnets["smallest"].embed_bits8)
    assert widths == {8, 16} and fractions == of_smallest == {0.0, 0.5, 1.0}


# ------------------------------------------------------------ losses and gradients


def gradients(net):
    return {
        name: value.grad.clone() for name, value in net.named_parameters() if value.grad is not None
    }


def test_a_float_step_is_the_loss_of_the_largest_subnet(trainer):
    net = deepcopy(trainer.net)
    images, labels = trainer.batches.batch(trainer.step)
    loss = functional.cross_entropy(
        net(images, trainer.config.supernet.space.largest()), labels, label_smoothing=0.1
    )
    loss.backward()
    [losses] = advance(trainer, 1)
    assert losses == {"largest": pytest.approx(loss.item())}
    assert_equal(gradients(trainer.net), gradients(net))


@pytest.mark.parametrize("distillation", [1.0, 0.5, 0.0])
def test_a_quantized_step_adds_four_subnets(short, tiny_data, tmp_path, distillation):
    config = replace(short, distillation=distillation)
    trainer = Trainer(config, tiny_data, tmp_path / "run.pt")
    advance(trainer, trainer.float_steps + 1)
    net = deepcopy(trainer.net)
    net.zero_grad()
    images, labels = trainer.batches.batch(trainer.step)
    expected, teacher = {}, None
    for name, arch in trainer._subnets().items():
        logits = net.quantized(images, arch)
        own = functional.cross_entropy(logits, labels, label_smoothing=0.1)
        if teacher is None:
            loss, teacher = own, logits.detach().softmax(1)
        else:
            taught = -(teacher * logits.log_softmax(1)).sum(1).mean()
            loss = (1 - distillation) * own + distillation * taught
        loss.backward()
        expected[name] = loss.item()
    [losses] = advance(trainer, 1)
    assert losses == {name: pytest.approx(loss, rel=1e-5) for name, loss in expected.items()}
    found, summed = gradients(trainer.net), gradients(net)
    assert found.keys() == summed.keys()
    for name, gradient in summed.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


class Reads(TorchDispatchMode):
    """Copies from the CPU that the host would wait for, while the mode is on."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device != result.device:
            if not (kwargs or {}).get("non_blocking"):
                self.found.append(tuple(args[0].shape))
        return result


@pytest.mark.parametrize("step", [2, 8])
def test_a_step_waits_for_no_value_of_the_device(short, tiny_data, tmp_path, step):
    """On torch's device without values: reading one, or mixing devices, is an error there."""
    meta = torch.device("meta")
    config = replace(short, mixup=0.8, cutmix=1.0, drop_path=0.2)
    trainer = Trainer(config, tiny_data, tmp_path / "run.pt")
    advance(trainer, step)
    trainer.net.to(meta)
    trainer.processes = trainer.batches.processes = replace(trainer.processes, device=meta)
    trainer.optimizer.zero_grad(set_to_none=True)
    with Reads() as reads:
        losses = dict(trainer._losses())
    assert reads.found == [] and {loss.device for loss in losses.values()} == {meta}
    assert trainer.net.head.weight.grad.device == meta
    with pytest.raises(RuntimeError, match="meta"):
        losses["largest"].item()


def test_clipped_gradients_have_the_norm_of_the_limit(short, tiny_data, tmp_path):
    for limit in (1e-3, 1e3):
        config = replace(short, clip_grad=limit)
        clipped, plain = (Trainer(each, tiny_data, tmp_path / "run.pt") for each in (config, short))
        assert advance(clipped, 1) == advance(plain, 1)
        found, before = (
            torch.nn.utils.get_total_norm([*gradients(each.net).values()])
            for each in (clipped, plain)
        )
        assert float(found) == pytest.approx(min(limit, float(before)), rel=1e-3)


def test_the_loss_falls(trainer):
    losses = [loss["largest"] for loss in advance(trainer, trainer.float_steps)]
    assert sum(losses[-2:]) < sum(losses[:2])


# ------------------------------------------------------------ averages, stages, saving


def test_what_the_float_stage_leaves(trainer):
    advance(trainer, trainer.float_steps)
    assert trainer.averages == {} and trainer.net.order == {}
    advance(trainer, 1)
    tiles = trainer.net.order["embed"]
    assert sorted(tiles) == list(range(4))  # 16 channels in tiles of 4
    assert trainer.averages.keys() == parameters(trainer).keys()


def test_averages_have_a_short_memory_at_first(short, tiny_data, tmp_path):
    trainer = Trainer(replace(short, average=0.2), tiny_data, tmp_path / "run.pt")
    advance(trainer, trainer.float_steps + 1)
    average = {name: value.clone() for name, value in trainer.averages.items()}
    for done in range(2, 6):
        advance(trainer, 1)
        decay = min(0.2, done / (done + 10))
        for name, value in parameters(trainer).items():
            average[name] = decay * average[name] + (1 - decay) * value
            torch.testing.assert_close(trainer.averages[name], average[name], msg=name)


def test_the_averages_are_the_result(trainer):
    advance(trainer, trainer.steps)
    averages = {name: value.clone() for name, value in trainer.averages.items()}
    before = parameters(trainer)
    trainer.finish()
    assert_equal(parameters(trainer), averages)
    assert any(not torch.equal(before[name], value) for name, value in averages.items())
    assert Trainer(trainer.config, trainer.data, trainer.path).finished


def test_equal_seeds_give_equal_steps(short, tiny_data, tmp_path):
    runs = [Trainer(short, tiny_data, tmp_path / f"{name}.pt") for name in "ab"]
    losses = [advance(run, 8) for run in runs]
    assert losses[0] == losses[1]
    assert_equal(*map(parameters, runs))
    other = Trainer(replace(short, seed=1), tiny_data, tmp_path / "c.pt")
    assert advance(other, 1) != losses[0][:1]


@pytest.mark.parametrize("saved", [3, 6, 8])
def test_a_saved_run_goes_on_as_if_nothing_had_been(short, tiny_data, tmp_path, saved):
    whole, cut = (Trainer(short, tiny_data, tmp_path / f"{name}.pt") for name in ("whole", "cut"))
    losses = advance(whole, 10)
    assert advance(cut, saved) == losses[:saved]
    cut.save()
    resumed = Trainer(short, tiny_data, cut.path)
    assert resumed.step == saved
    assert advance(resumed, 10 - saved) == losses[saved:]
    assert_equal(parameters(resumed), parameters(whole))
    assert_equal(resumed.averages, whole.averages)


def test_validation_names_the_subnets(trainer):
    assert list(trainer.validate()) == ["largest"]
    advance(trainer, trainer.float_steps + 1)
    accuracies = trainer.validate()
    assert list(accuracies) == ["largest", "smallest"]
    assert all(0 <= accuracy <= 1 for accuracy in accuracies.values())


def test_validation_looks_at_the_averages(trainer):
    advance(trainer, trainer.float_steps + 2)
    for average in trainer.averages.values():
        average.zero_()
    # With all parameters 0 all logits are equal, and the first class is the answer.
    share = float((trainer.data.validation.labels == 0).float().mean())
    assert trainer.validate() == pytest.approx({"largest": share, "smallest": share})


# ------------------------------------------------------------ other recipes


def other(trainer, **options):
    """Return the same run by another recipe."""
    return Trainer(replace(trainer.config, **options), trainer.data, trainer.path)


def test_unsorted_channels_stay_where_they_are(trainer):
    moved = {}
    for sort in (True, False):
        run = other(trainer, sort_channels=sort)
        advance(run, run.float_steps)
        before = run.net.embed.weight.detach().clone()
        run._begin_elasticity()
        moved[sort] = not torch.equal(before, run.net.embed.weight)
        assert run.net.order["embed"]
    assert moved == {True: True, False: False}


def test_in_a_chain_each_subnet_learns_from_the_next_larger_one(trainer, monkeypatch):
    run, taught = other(trainer, chained=True), []
    advance(run, run.float_steps)
    backward, answers = run._backward, []

    def watch(logits, labels, teacher, others):
        answers.append(logits.detach().softmax(1))
        taught.append(teacher)
        return backward(logits, labels, teacher, others)

    monkeypatch.setattr(run, "_backward", watch)
    [losses] = advance(run, 1)
    assert taught[0] is None
    assert all(torch.equal(a, b) for a, b in zip(taught[1:], answers[:-1], strict=True))
    run.step -= 1
    work = [array_work(run.net.shape(arch)) for arch in run._subnets().values()]
    assert work == sorted(work, reverse=True) and len(losses) == 4


def test_elastic_epochs_end_the_float_stage(tiny_config, tiny_data, tmp_path):
    config = replace(tiny_config, float_epochs=2, quantized_epochs=1, elastic_epochs=1)
    run = Trainer(config, tiny_data, tmp_path / "run.pt")
    steps = run.steps_per_epoch
    assert run.elastic_step == steps and run.float_steps == 2 * steps
    losses = advance(run, steps)
    assert all(list(each) == ["largest"] for each in losses) and run.net.order == {}
    [first] = advance(run, 1)
    assert list(first) == ["largest", "random0", "random1", "smallest"]
    order, scale = run.net.order, run.net.residual_scale
    assert order and scale == 2.0**-10 and run.averages == {}  # sorted, but not quantized yet
    advance(run, steps)
    assert run.net.order is order and run.net.residual_scale != scale and run.averages


def test_layer_scaling_that_switches_begins_with_that_of_the_largest(trainer):
    config = replace(trainer.config.supernet, switched_gains=True)
    run = other(trainer, supernet=config)
    plain = other(trainer)
    assert advance(run, 6) == advance(plain, 6)  # the float stage knows no other
    archs = config.space.largest(), config.space.smallest()
    for each in (run, plain):
        each._begin_elasticity()
    for arch in archs:
        for index in range(arch.depth):
            found, expected = (each.net.gains(index, arch) for each in (run, plain))
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert run.net.gains(0, archs[0])[0].abs().max() > 0
    advance(run, 3)
    large, small = (run.net.gains(0, arch)[0][: archs[1].width] for arch in archs)
    assert not torch.equal(large, small)


# ------------------------------------------------------------ one subnet alone


def test_a_subnet_alone_is_all_that_is_trained(short, tiny_data, tmp_path):
    space = short.supernet.space
    arch = space.smallest(0.5)
    trainer = Trainer(replace(short, alone=arch, weight_decay=0), tiny_data, tmp_path / "run.pt")
    before = parameters(trainer)
    assert [list(losses) for losses in advance(trainer, trainer.steps)] == [["only"]] * 12
    assert list(trainer.validate()) == ["only"]
    changed = {name for name, value in parameters(trainer).items() if (value != before[name]).any()}
    assert "blocks.0.q.weight" in changed
    assert not any(name.startswith("blocks.1.") and "log_step" not in name for name in changed)
    trainer.finish()
    rows = trainer.net.head.weight.detach()[:, arch.width :]
    assert torch.equal(rows, before["head.weight"][:, arch.width :])


def test_a_subnet_alone_learns(tiny_config, tiny_data, tmp_path):
    arch = tiny_config.supernet.space.smallest(1.0)
    trainer = Trainer(replace(tiny_config, alone=arch), tiny_data, tmp_path / "run.pt")
    advance(trainer, trainer.steps)
    assert trainer.validate()["only"] > 0.6  # chance is 1/3


# ------------------------------------------------------------ divergence


@pytest.mark.parametrize("steps", [2, 8])
def test_a_loss_that_is_no_number_stops_the_run(trainer, steps):
    advance(trainer, steps)
    trainer.save()
    saved = trainer.path.read_bytes()
    with torch.no_grad():
        trainer.net.head.weight[0, 0] = torch.nan
    with pytest.raises(
        UserError,
        match=rf"training diverged at step {steps} of 12: the loss of the largest subnet is nan;"
        r" \S+run\.pt is kept as last saved: train with another seed \(--seed\), or a lower"
        r" learning rate",
    ):
        trainer.advance()
    with pytest.raises(UserError, match=r"head\.weight holds values that are infinite"):
        trainer.save()
    assert trainer.path.read_bytes() == saved


@pytest.mark.parametrize(
    ("steps", "subnet", "parameter"),
    [(2, "largest", "head.weight"), (8, "random1", "blocks.0.fc1.weight")],
)
def test_a_gradient_that_is_no_number_names_parameter_and_subnet(trainer, steps, subnet, parameter):
    advance(trainer, steps)
    trainer.save()
    saved, before = trainer.path.read_bytes(), parameters(trainer)
    calls = itertools.count()

    def spoil(gradient):  # of one subnet of the step, whose losses are all finite
        found = list(trainer._subnets())[next(calls) % len(trainer._subnets())]
        return gradient / 0 if found == subnet else gradient

    trainer.net.get_parameter(parameter).register_hook(spoil)
    with pytest.raises(
        UserError,
        match=rf"diverged at step {steps} of 12: the gradient of {parameter} from the {subnet}"
        " subnet is no number",
    ):
        trainer.advance()
    assert trainer.path.read_bytes() == saved
    assert_equal(parameters(trainer), before)  # no step was taken


@pytest.mark.parametrize(("limit", "slope"), [(SCALES[0], 1.0), (SCALES[1], -1.0)])
def test_a_norm_s_scale_stays_within_what_the_format_expresses(trainer, limit, slope):
    advance(trainer, trainer.float_steps + 1)
    scales = [trainer.net.norm_scale, trainer.net.block(0).norm1_scale]
    for scale in scales:
        with torch.no_grad():
            scale.log.fill_(log(limit))
        scale.log.register_hook(lambda gradient: torch.full_like(gradient, slope))  # outwards
    advance(trainer, 3)
    assert all(float(scale.log.detach()) == pytest.approx(log(limit)) for scale in scales)
