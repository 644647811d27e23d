"""A step of training at the size of DeiT-S, beside timm's: its time, and what it keeps in memory.

Forward and backward of one network on the same images: the supernet's largest subnet in quantized
mode, in that mode compiled (:mod:`nas.numerics.fused`), and in float mode; and timm's
``vit_small_patch16_224`` in floating point. Seconds are the processor's: other work beside it
counts little.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from statistics import median

import timm
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from nas.numerics.fused import fused
from nas.studies.options import StudyOptions
from nas.supernet.initial import calibrate
from nas.supernet.supernet import Supernet, SupernetConfig
from nas.task.sizes import SIZES
from rtl.console import print_tables, progress_bars
from rtl.files import atomic_write, require_writable

SCHEMA = 1
IMAGES, QUICK_IMAGES = 16, 1
ROUNDS, QUICK_ROUNDS = 5, 1
SIZE, PATCH, CLASSES = 224, 16, 1000
REFERENCE, COMPILED = "vit_small_patch16_224", "compiled"


Networks = dict[str, tuple[nn.Module, Callable[[], Tensor]]]
"""Networks by name, each with a function that runs it and gives the loss."""


@dataclass(frozen=True)
class StepCost:
    """Figures of a step.

    Parameters
    ----------
    network : str
        ``timm``, ``float``, ``quantized`` or ``compiled``.
    seconds : float
        The processor's, median of the rounds, in which the networks take turns.
    saved_bytes : int
        Tensors that wait for the backward pass, parameters left out.
    time_ratio, saved_ratio : float
        The same over timm's; of the time, the median of the rounds' ratios.
    """

    network: str
    seconds: float
    saved_bytes: int
    time_ratio: float
    saved_ratio: float


def run(options: StudyOptions) -> None:
    """Measure, print a table, and write the result."""
    path = options.out / "step.json"
    require_writable(path)
    torch.set_num_threads(1)
    count, rounds = (QUICK_IMAGES, QUICK_ROUNDS) if options.quick else (IMAGES, ROUNDS)
    nets = networks(count, options.seed)
    if options.quick:
        del nets[COMPILED]
    found = measured(nets, rounds)
    result = {
        "schema": SCHEMA,
        "quick": options.quick,
        "images": count,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
        "steps": [asdict(step) for step in found],
    }
    with atomic_write(path, "w") as file:
        json.dump(result, file, indent=1)
    print_tables(steps_table(found))
    print(f"Wrote {path}")


def networks(count: int, seed: int) -> Networks:
    """Make the networks, each with a function that gives the loss of ``count`` images."""
    torch.manual_seed(seed)
    pixels = torch.randint(0, 256, (count, SIZE, SIZE, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (count,))
    reference = timm.create_model(REFERENCE, num_classes=CLASSES)
    space = SIZES["small"].space((SIZE, SIZE, 3), PATCH, CLASSES)
    net, arch = Supernet(SupernetConfig(space, (124, 116, 104), 58.0)), space.largest()
    calibrate(net, pixels, arch)
    real = (pixels.permute(0, 3, 1, 2).float() - 114) / 58

    def loss(run: Callable[..., Tensor], *inputs: object) -> Callable[[], Tensor]:
        return lambda: functional.cross_entropy(run(*inputs), labels)

    return {
        "timm": (reference, loss(reference, real)),
        "float": (net, loss(net, pixels, arch)),
        "quantized": (net, loss(net.quantized, pixels, arch)),
        COMPILED: (net, loss(net.quantized, pixels, arch)),
    }


def measured(
    found: dict[str, tuple[nn.Module, Callable[[], Tensor]]], rounds: int
) -> list[StepCost]:
    """Measure each network's step; the first one is the reference."""
    saved = {}
    for name, (net, loss) in found.items():
        with fused(name == COMPILED):
            saved[name] = saved_bytes(net, loss)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    with progress_bars(console=Console(stderr=True)) as bars:
        for _ in bars.track(range(rounds), description="rounds"):
            for name, (net, loss) in found.items():
                net.zero_grad(set_to_none=True)
                with fused(name == COMPILED):
                    started = time.process_time()
                    loss().backward()
                    seconds[name].append(time.process_time() - started)
    reference = next(iter(found))
    return [
        StepCost(
            network=name,
            seconds=round(median(seconds[name]), 4),
            saved_bytes=saved[name],
            time_ratio=round(
                median(a / b for a, b in zip(seconds[name], seconds[reference], strict=True)), 3
            ),
            saved_ratio=round(saved[name] / saved[reference], 3),
        )
        for name in found
    ]


def saved_bytes(net: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes that a forward pass keeps for the backward pass, each storage counted once."""
    parameters = {each.untyped_storage().data_ptr() for each in net.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # or a storage's address would be used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss()
    return sum(kept.values())


def steps_table(found: list[StepCost]) -> Table:
    """Show the figures, a network in each row."""
    table = Table(title="A step of training at the size of DeiT-S")
    for column in fields(StepCost):
        table.add_column(column.name.replace("_", " "), justify="right")
    for step in found:
        table.add_row(
            step.network,
            f"{step.seconds:.3f}",
            f"{step.saved_bytes:,}",
            f"{step.time_ratio:.2f}",
            f"{step.saved_ratio:.2f}",
        )
    return table
