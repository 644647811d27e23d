"""Fine-tuning, winner by winner: training, choice, test images, RTL, files."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from nas.finetune.finished import FinishedSearch
from nas.finetune.options import FinetuneOptions
from nas.finetune.report import (
    compared,
    finetuning_table,
    has_helped,
    report_file,
    tuned_file,
    write_report,
)
from nas.finetune.trainer import SubnetTrainer
from nas.numerics.device import usable_device
from nas.numerics.integer import IntegerNetwork
from nas.search import run_folder
from nas.search.report import (
    COMPARED_VALUES,
    Comparison,
    TestImages,
    compare_with_golden,
    evaluate_model,
    execute,
)
from nas.search.summary import Winner
from nas.space import Arch
from nas.supernet.export import export
from nas.supernet.portions import kept_images
from nas.supernet.supernet import Supernet
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import evaluate_subnet, moved_net
from nas.training.processes import Processes
from nas.training.recipe import TrainConfig
from nas.training.train import train_supernet
from nas.warm.source import NetworkSource
from rtl.console import DETAIL, print_tables, progress_bars
from rtl.errors import ToolError
from rtl.model import IntegerModel
from sim.toolchain import builder

TRAINING = "finetuning"  # folder in that of the run: checkpoints, logs
EPOCH_SHARE = 3  # of the epochs of the recipe's second stage, one in so many
TUNED, WINNER = "fine-tuned", "winner"


@dataclass(frozen=True, eq=False)
class FinetunedWinner:
    """A winner before and after.

    Parameters
    ----------
    winner : Winner
    config : TrainConfig
        That of its training.
    before, after : IntegerModel
    validation : dict
        Figures of both in quantized mode on the validation images.
    """

    winner: Winner
    config: TrainConfig
    before: IntegerModel
    after: IntegerModel
    validation: dict[str, Any]

    @property
    def helped(self) -> bool:
        """Whether the validation images show that training helped."""
        return has_helped(self.validation)


def run(options: FinetuneOptions) -> list[dict[str, Any]]:
    """Do the job; return what it writes, a report for each winner.

    Raises
    ------
    UserError
        Before anything long begins, if the run, its images or an option cannot be used.
    ToolError
        If two executors of a fine-tuned winner disagree.
    """
    console = Console(stderr=True)
    device = usable_device(options.device, torch.float64)
    if options.images:
        builder.require()  # before the training, not after it
    search = FinishedSearch.open(
        options.run,
        console,
        workers=options.workers if options.workers > 1 else 0,
        skip_unreadable=options.skip_unreadable,
    )
    winners = search.winners(options.target)
    with run_folder.locked(search.folder):
        found = [finetune(search, winner, options, device, console) for winner in winners]
        test = TestImages(search.task)
        reports = [measure(search, each, test, options, device, console) for each in found]
    print_tables(finetuning_table(reports))
    for each in reports:
        print(sentence(search.folder, each))
    return reports


def config_of(search: FinishedSearch, winner: Winner, options: FinetuneOptions) -> TrainConfig:
    """Return the configuration of a winner's training."""
    recipe = search.recipe
    share = recipe.teacher_share if recipe.teacher else recipe.distillation
    return replace(
        recipe,
        alone=Arch.from_json(winner.arch),
        start=NetworkSource(str(search.supernet), sha256=search.summary.supernet),
        float_epochs=0,
        elastic_epochs=0,
        quantized_epochs=options.epochs or max(1, recipe.quantized_epochs // EPOCH_SHARE),
        quantized_learning_rate=options.learning_rate or recipe.quantized_learning_rate,
        teacher_share=share if options.teacher_share is None else options.teacher_share,
    )


def finetune(
    search: FinishedSearch,
    winner: Winner,
    options: FinetuneOptions,
    device: torch.device,
    console: Console,
) -> FinetunedWinner:
    """Train a winner, or reuse its training, and compare it on the validation images."""
    config, before = config_of(search, winner, options), search.model(winner)
    console.print(f"winner of {winner.target_fps:g} frames per second: {winner.model}")
    path = train_supernet(
        config,
        search.folder / TRAINING,
        search.data,
        console=console,
        processes=Processes(device=device),
        kind=SubnetTrainer,
    )
    arch = Arch.from_json(winner.arch)
    net = load_supernet(path)
    first, second = (
        evaluate_subnet(moved_net(each, device), arch, search.data.validation)
        for each in (load_supernet(search.supernet), net)
    )
    after = exported(search, winner, net, arch, before)
    return FinetunedWinner(winner, config, before, after, compared(first, second))


def exported(
    search: FinishedSearch, winner: Winner, net: Supernet, arch: Arch, before: IntegerModel
) -> IntegerModel:
    """Make the integer model of a trained winner, of the same shape as before."""
    info = {
        "made_by": "python -m nas.finetune",
        "seed": search.summary.seed,
        "supernet": search.summary.supernet,
        "board": search.summary.board,
        "target_fps": winner.target_fps,
        "predicted_cycles": winner.predicted_cycles,
        "before": before.hash,
    }
    names, steps = before.class_names, before.preprocessing
    model = export(net, arch, class_names=names, preprocessing=steps, info=info)
    if model.shape != before.shape:
        raise ToolError(f"{winner.model}: its rows of 8 bits moved in training")
    return model


def measure(
    search: FinishedSearch,
    tuned: FinetunedWinner,
    test: TestImages,
    options: FinetuneOptions,
    device: torch.device,
    console: Console,
) -> dict[str, Any]:
    """Measure a winner on the test images, run it on the RTL, and write its files.

    Raises
    ------
    ToolError
        If an executor disagrees with golden.
    """
    winner, network = tuned.winner, IntegerNetwork(tuned.after, device)
    first = evaluate_model(IntegerNetwork(tuned.before, device), test.whole)
    second = evaluate_model(network, test.whole)
    most = kept_images(tuned.after.shape, len(test.whole), COMPARED_VALUES)
    golden = compare_with_golden(network, test.some(most))
    with progress_bars(DETAIL, console=console) as progress:
        bar = progress.add_task(f"{winner.target_fps:g} fps", total=None, detail="")
        rtl, cycles = execute(
            tuned.after,
            test.some(options.images),
            search.hardware,
            lambda stage: progress.update(bar, detail=stage),
        )
    _refuse_mismatches(winner, golden, rtl)
    file = search.folder / tuned_file(winner.target_fps)
    if tuned.helped:
        tuned.after.save(file)
    else:
        file.unlink(missing_ok=True)  # of another training
    report = {
        "target_fps": winner.target_fps,
        "kept": TUNED if tuned.helped else WINNER,
        "model": file.name if tuned.helped else winner.model,
        "model_hash": (tuned.after if tuned.helped else tuned.before).hash,
        "cycles": winner.predicted_cycles,
        "rtl_cycles": cycles,
        "rtl_images": rtl.images,
        "golden_images": golden.images,
        "epochs": tuned.config.quantized_epochs,
        "learning_rate": tuned.config.quantized_learning_rate,
        "teacher": _teacher_name(tuned.config),
        "teacher_share": tuned.config.teacher_share,
        "seed": tuned.config.seed,
        "validation": tuned.validation,
        "test": compared(first, second),
    }
    write_report(search.folder / report_file(winner.target_fps), report)
    return report


def sentence(folder: Path, report: dict[str, Any]) -> str:
    """Say which model is to be taken, and where the figures are."""
    difference = report["validation"]["cross_entropy_difference"]
    mean, low, high = (f"{difference[name]:+.4f}" for name in ("mean", "low", "high"))
    helped = "helped" if report["kept"] == TUNED else "did not help: the winner is kept"
    return (
        f"{report['target_fps']:g} frames per second: fine-tuning {helped} (cross-entropy on the"
        f" validation images {mean}, from {low} to {high}): {folder / report['model']}, figures in"
        f" {folder / report_file(report['target_fps'])}"
    )


def _teacher_name(config: TrainConfig) -> str | None:
    if not config.teacher_share:
        return None
    return config.teacher.name if config.teacher else "largest subnet"


def _refuse_mismatches(winner: Winner, golden: Comparison, rtl: Comparison) -> None:
    for executor, found in (("PyTorch's integer mode", golden), ("the engine", rtl)):
        if found.first:
            raise ToolError(
                f"{executor} differs from golden with the fine-tuned {winner.model}, first in"
                f" {found.first}"
            )
