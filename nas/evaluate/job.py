"""The job of ``python -m nas.evaluate``: open everything, measure batch by batch, report."""

import json
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from nas.cost import HardwareTarget
from nas.evaluate import tables
from nas.evaluate.answers import classes_of, float_answers, integer_answers, matching
from nas.evaluate.compare import joined, measure
from nas.evaluate.noise import NoiseBudget, NoiseMeter
from nas.evaluate.options import EvaluateOptions
from nas.evaluate.pictures import pictures
from nas.evaluate.report import PICTURES, model_report
from nas.evaluate.result import Evaluation
from nas.folder import ImageFolder, open_folder
from nas.importer.network import FloatNetwork, converted
from nas.importer.source import described, read
from nas.numerics.device import usable_device
from nas.report.content import Picture, Report
from nas.report.page import write_report
from rtl.console import print_tables, progress_bars
from rtl.errors import UserError
from rtl.files import atomic_write, require_results
from rtl.model import Features, IntegerModel
from sim.host import Host, open_host

SCHEMA = 3


def run(options: EvaluateOptions) -> Evaluation:
    """Evaluate a model and print what was found.

    Raises
    ------
    UserError
        If a file or folder is not what it should be, or there is nothing to compare.
    """
    files = (options.model, options.exact, options.network.checkpoint, options.labels)
    require_results((options.json, options.report), (*files, options.board, options.engine))
    hardware = HardwareTarget.load(options.board, options.engine)
    began = perf_counter()
    model = IntegerModel.load(options.model)
    host = _host(options, model)
    classes = classes_of(model, host)
    images = _images(options, model, classes)
    network = _float_network(options, model)
    found = _evaluate(options, model, host, classes, images, network)
    noise = _noise(options, model, images, network) if network and options.noise else None
    shown = [tables.accuracy_table(found)] if found.accuracies else []
    shown += [tables.likeness_table(found)] if found.likenesses else []
    shown += [tables.selection_table(found.selection)] if found.selection else []
    shown += [tables.noise_table(noise)] if noise else []
    print_tables(*shown, *tables.sentences(found))
    if options.json:
        report = _report(options, model, images, found, noise)
        with atomic_write(options.json, "w") as file:
            json.dump(report | {"seconds": perf_counter() - began}, file, indent=2)
    if options.report:
        shown = _pictures(model, network, host, images)
        write_report(_page(options, model, hardware, found, noise, shown), options.report)
        print(f"Wrote {options.report}")
    return found


def _host(options: EvaluateOptions, model: IntegerModel) -> Host | None:
    """Open the network behind the features; without onnxruntime, features are compared alone."""
    if not isinstance(model.output, Features) or model.output.host is None:
        return None
    host = open_host(options.model, model.output.host)
    if host is None:
        _say("onnxruntime is not installed: features are compared, not the host network's outputs")
    return host


def _images(options: EvaluateOptions, model: IntegerModel, classes: int) -> ImageFolder:
    try:
        names = model.class_names if classes else ()
        images = open_folder(options.data, names, classes, options.labels)
    except UserError as error:
        if model.classes or model.class_names or options.labels:
            raise
        # What a host network gives two axes of may be something else than classes.
        images = open_folder(options.data)
        _say(f"{error}; its images count as unlabelled")
    if options.exact is None and not classes:
        raise UserError(
            f"{options.model} has no classifier: give the float network to compare with by --float"
        )
    if options.exact is None and images.labels is None:
        raise UserError(
            f"{options.data} has no class folders, and there are no --labels: give the float"
            " network to compare with by --float"
        )
    if images.labels is not None:
        _say(f"{options.data}: {images.origin} are matched {images.matching}")
    return images if options.limit is None else images.spread(options.limit)


def _float_network(options: EvaluateOptions, model: IntegerModel) -> FloatNetwork | None:
    if options.exact is None:
        return None
    with Console(stderr=True).status(f"Importing {options.exact}"):
        network = matching(read(options.exact, options.network), model)
    for line in described(network):
        _say(line)
    return network


def _evaluate(
    options: EvaluateOptions,
    model: IntegerModel,
    host: Host | None,
    classes: int,
    images: ImageFolder,
    network: FloatNetwork | None,
) -> Evaluation:
    device = usable_device(options.device)
    integer = integer_answers(model, host, device)
    exact = network and float_answers(converted(network, torch.float32, device), host)
    batches = images.batches(model.preprocessing, model.image, options.batch, options.workers)
    shown = _shown(batches, len(images.files), "images")
    parts = joined(measure(shown, images.labels, integer, exact, model.shape.patches))
    return Evaluation.of(parts, len(images.files), classes)


def _noise(
    options: EvaluateOptions, model: IntegerModel, images: ImageFolder, network: FloatNetwork
) -> NoiseBudget:
    meter, some = NoiseMeter(model, network), images.spread(options.noise_images)
    # Small batches: the noise of every one is measured in some 25 ways.
    batches = some.batches(model.preprocessing, model.image, min(options.batch, 8), options.workers)
    return meter.measure(_shown(batches, len(some.files), "noise"))


def _shown(batches: Iterable[Tensor], images: int, what: str) -> Iterator[Tensor]:
    """Yield batches, and show how many images are done."""
    with progress_bars() as bars:
        task = bars.add_task(what, total=images)
        for batch in batches:
            yield batch
            bars.advance(task, len(batch))


def _page(
    options: EvaluateOptions,
    model: IntegerModel,
    hardware: HardwareTarget,
    found: Evaluation,
    noise: NoiseBudget | None,
    shown: tuple[Picture, ...],
) -> Report:
    return model_report(
        options.model.name,
        model,
        hardware,
        data=str(options.data),
        evaluation=found.report(),
        noise=noise and noise.report(),
        shown=shown,
    )


def _pictures(
    model: IntegerModel, network: FloatNetwork | None, host: Host | None, images: ImageFolder
) -> tuple[Picture, ...]:
    """Return some of the images with both networks' answers."""
    some = images.spread(PICTURES)
    labels = []
    if some.labels is not None:
        known = dict(enumerate(model.class_names))
        labels = [known.get(number, str(number)) for number in some.labels.tolist()]
    pixels = torch.cat(list(some.batches(model.preprocessing, model.image, PICTURES)))
    names = [file.name for file in some.files]
    return tuple(pictures(model, network, host, pixels, names, labels))


def _report(
    options: EvaluateOptions,
    model: IntegerModel,
    images: ImageFolder,
    found: Evaluation,
    noise: NoiseBudget | None,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "model": str(options.model),
        "model_hash": model.hash,
        "float": options.exact,
        "data": str(options.data),
        "matching": images.matching,
        **found.report(),
        "noise": noise and noise.report(),
    }


def _say(line: str) -> None:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(line)
