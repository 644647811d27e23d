"""The final report: winners on the test images and on the RTL. Nothing before it sees those."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from nas.cost import HardwareTarget
from nas.cost.estimate import Estimate
from nas.data import Images, spread
from nas.intervals import paired_difference, paired_mean_difference
from nas.numerics.integer import IntegerNetwork
from nas.search.ranking import Outcome, Pick
from nas.search.summary import Baseline, Baselines, Winner, WinnerWork
from nas.supernet.contract import compare
from nas.supernet.export import export
from nas.supernet.portions import kept_images
from nas.supernet.supernet import Supernet
from nas.task.task import Task
from nas.testset import load_test
from nas.training.evaluate import Result, evaluate, evaluate_subnet, moved_net
from rtl.errors import ToolError
from rtl.model import IntegerModel
from sim import golden

GOLDEN_BATCH = 100  # images whose tensors are in memory at a time, twice
CONTRACT_IMAGES = 200  # images on which quantized mode is compared operation by operation
COMPARED_VALUES = 1 << 31
"""Values that golden computes of a winner: all test images of the digits, a hundred of DeiT-S."""

Advance = Callable[[str], None]
"""Called with the name of the stage that begins."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of two executors of one integer model.

    Parameters
    ----------
    images : int
        Number of images that both ran.
    mismatches : int
        Number of codes that differ, of all tensors; on the engine, number of instructions that
        wrote one.
    wrong_logits : int
        Number of logits that differ in the engine's memory.
    first : str or None
        Place of the first difference; None if there is none.
    """

    images: int
    mismatches: int = 0
    wrong_logits: int = 0
    first: str | None = None


@dataclass(frozen=True)
class MeasuredWinner:
    """Entry of a winner in the summary, with the comparisons behind it."""

    winner: Winner
    golden: Comparison
    rtl: Comparison


@dataclass(frozen=True, eq=False)
class TestImages:
    """The test images of a task, which are read when they are first asked for.

    Parameters
    ----------
    task : Task
    """

    task: Task

    @cached_property
    def whole(self) -> Images:
        """All of them."""
        return load_test(self.task.origin)

    def some(self, count: int) -> Images:
        """Return some of them, evenly spread."""
        return self.whole.take(spread(len(self.whole), count))


def measure_winner(
    net: Supernet,
    outcome: Outcome,
    model: IntegerModel,
    *,
    target_fps: float,
    file: str,
    hardware: HardwareTarget,
    test: TestImages,
    images: int,
    device: torch.device,
    advance: Advance,
) -> MeasuredWinner:
    """Measure one winner and its baselines on the test set.

    Parameters
    ----------
    net : Supernet
    outcome : Outcome
        The winner with its baselines.
    model : IntegerModel
        Integer model of the winner.
    target_fps : float
    file : str
        File name of the model, for the summary.
    hardware : HardwareTarget
    test : TestImages
    images : int
        Number of test images to run on the RTL.
    device : torch.device
        Device that evaluates on all test images.
    advance : callable
    """
    whole = test.whole
    candidate, network = outcome.winner.candidate, IntegerNetwork(model, device)
    advance("accuracy on the test images")
    qat = evaluate_subnet(moved_net(net, device), candidate.arch, whole)
    integer = evaluate_model(network, whole)
    advance("baselines on the test images")
    uniform, random = (
        measure_baseline(net, pick, model, integer, whole, device)
        for pick in (outcome.uniform, outcome.random)
    )
    difference = paired_difference(integer.correct, qat.correct)
    advance("PyTorch's integer mode against golden")
    most = kept_images(model.shape, len(whole), COMPARED_VALUES)
    compared = compare_with_golden(network, test.some(most))
    equal = compare(net, candidate.arch, model, test.some(min(most, CONTRACT_IMAGES)))
    worst = min(equal, key=equal.__getitem__)
    executed, cycles = execute(model, test.some(images), hardware, advance)
    winner = Winner(
        target_fps=target_fps,
        predicted_cycles=candidate.cycles,
        predicted_fps=_fps(hardware, candidate.cycles),
        rtl_cycles=cycles,
        rtl_fps=None if cycles is None else _fps(hardware, cycles),
        work=_work(model, hardware),
        evaluations=outcome.winner.evaluations,
        in_band=outcome.in_band,
        baselines=Baselines(uniform=uniform, random=random),
        cross_entropy_search=candidate.score.cross_entropy,
        cross_entropy_reranking=outcome.winner.loss,
        cross_entropy=float(integer.cross_entropy.mean()),
        accuracy_search=1 - candidate.score.error,
        accuracy_qat=qat.accuracy,
        accuracy_integer=integer.accuracy,
        accuracy_integer_interval=integer.interval,
        accuracy_difference=difference.mean,
        accuracy_difference_interval=(difference.low, difference.high),
        quantized_top1_equal=float((qat.predicted == integer.predicted).mean()),
        quantized_codes_equal=equal[worst],
        quantized_worst_tensor=worst,
        golden_images=compared.images,
        golden_mismatches=compared.mismatches,
        rtl_images=executed.images,
        rtl_wrong_instructions=executed.mismatches,
        rtl_wrong_logits=executed.wrong_logits,
        arch=candidate.arch.to_json(),
        model=file,
        model_hash=model.hash,
    )
    return MeasuredWinner(winner, compared, executed)


def measure_baseline(
    net: Supernet,
    pick: Pick,
    winner: IntegerModel,
    answers: Result,
    test: Images,
    device: torch.device,
) -> Baseline:
    """Compare a winner with a baseline on the test set, both as integer models.

    ``answers`` are those of the model ``winner``.
    """
    model = export(
        net,
        pick.candidate.arch,
        class_names=winner.class_names,
        preprocessing=winner.preprocessing,
    )
    integer = evaluate_model(IntegerNetwork(model, device), test)
    losses = paired_mean_difference(answers.cross_entropy, integer.cross_entropy)
    accuracies = paired_difference(answers.correct, integer.correct)
    return Baseline(
        arch=pick.candidate.arch.to_json(),
        cycles=pick.candidate.cycles,
        evaluations=pick.evaluations,
        cross_entropy_reranking=pick.loss,
        cross_entropy=float(integer.cross_entropy.mean()),
        accuracy_integer=integer.accuracy,
        difference=losses.mean,
        difference_interval=(losses.low, losses.high),
        accuracy_difference=accuracies.mean,
        accuracy_difference_interval=(accuracies.low, accuracies.high),
    )


def evaluate_model(network: IntegerNetwork, images: Images) -> Result:
    """Classify images in integer mode."""
    scale = network.model.classifier.output_scale
    return evaluate(lambda part: network.run(part) * scale, images)


def refuse_mismatches(measurements: Sequence[MeasuredWinner]) -> None:
    """Fail if any executor disagreed with golden: no number of the report could be trusted.

    Raises
    ------
    ToolError
        If there is a difference; names the executor, the model, and the place of the first one.
    """
    for measurement in measurements:
        for executor, found in (
            ("PyTorch's integer mode", measurement.golden),
            ("the engine", measurement.rtl),
        ):
            if found.first:
                raise ToolError(
                    f"{executor} differs from golden with {measurement.winner.model}, first in"
                    f" {found.first}"
                )


def compare_with_golden(network: IntegerNetwork, images: Images) -> Comparison:
    """Compare PyTorch's integer mode with golden in every code of every tensor."""
    mismatches, first = 0, None
    for part in images.batches(kept_images(network.model.shape, GOLDEN_BATCH)):
        expected: dict[str, np.ndarray] = {}
        found: dict[str, torch.Tensor] = {}
        golden.run(network.model, part.pixels.numpy(), tensors=expected)
        network.run(part.pixels, tensors=found)
        for name, codes in expected.items():
            differing = int((found[name].cpu().numpy() != codes).sum())
            mismatches += differing
            if differing and first is None:
                first = f"tensor {name}"
    return Comparison(len(images), mismatches, first=first)


def execute(
    model: IntegerModel, images: Images, hardware: HardwareTarget, advance: Advance
) -> tuple[Comparison, int | None]:
    """Run images on the engine, back to back, and compare every tensor with golden.

    Returns the cycles of the first image, too, as predictions are of one alone: later ones overlap
    with the one before.
    """
    if not len(images):
        return Comparison(0), None
    advance("building the simulation")
    result = _simulate(model, images, hardware, advance)
    # The runner compares with golden; the logits are compared with PyTorch's integer mode as well.
    logits = IntegerNetwork(model).run(images.pixels).numpy()
    wrong_logits = int((result.output != logits).sum())
    first = result.first_mismatch or ("the logits in memory" if wrong_logits else None)
    found = Comparison(len(images), result.wrong_instructions, wrong_logits, first)
    return found, int(result.cycles[0])


def _simulate(
    model: IntegerModel, images: Images, hardware: HardwareTarget, advance: Advance
) -> Any:
    # Imported here: without images on the RTL no simulator is needed.
    from sim import runner

    def progress(done: int, total: int) -> None:
        advance(f"on the RTL, image {done} of {total}")

    return runner.run(
        model,
        images.pixels.numpy(),
        hardware.board,
        engine=hardware.engine,
        check=True,
        progress=progress,
    )


def _work(model: IntegerModel, hardware: HardwareTarget) -> WinnerWork:
    """Count the work of the program that runs."""
    estimate = Estimate.of(hardware, model.shape)
    work = estimate.work
    return WinnerWork(
        macs=work.macs,
        array_cycles=work.array_cycles,
        memory_bytes=work.bytes,
        scratchpad_bytes=work.scratchpad_bytes,
        energy_joules=estimate.energy_joules,
    )


def _fps(hardware: HardwareTarget, cycles: float) -> float:
    return round(hardware.board.frames_per_second(cycles), 3)
