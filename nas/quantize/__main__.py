"""``python -m nas.quantize``: a trained float network and a folder of images to a model file."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from nas.cost import HardwareTarget
from nas.evaluate.options import check_report
from nas.evaluate.report import report_beside
from nas.importer import ImportOptions
from nas.importer.checks import tensors
from nas.importer.network import FloatNetwork
from nas.importer.selection import keeping
from nas.importer.source import described, read
from nas.numerics.device import usable_device
from nas.quantize.images import LEAST, MOST, image_files, load_images
from nas.quantize.job import Quantization, quantize
from nas.quantize.method import Method
from nas.quantize.trials import FOLDS, candidates
from nas.report.page import write_report
from rtl.cli import BoardName, EngineName, KeepText, OptionalPath, command
from rtl.console import print_tables, progress_bars
from rtl.errors import UserError
from rtl.files import atomic_write, require_results, require_space
from rtl.model import IntegerModel
from sim.host import load_host

ENDING = ".pulsar"

Count = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
Rate = Annotated[float | None, tyro.conf.arg(metavar="F", help_behavior_hint="")]


@dataclass(frozen=True)
class QuantizeOptions:
    """Quantize a trained vision transformer for an engine, without training and without labels.

    Chooses scales from the images, rounds the weights so that their errors cancel on these images,
    and writes an integer model that NumPy, PyTorch and the engine execute with equal results. A
    run that was interrupted goes on where it was. For example:

    python -m nas.quantize deit_tiny --checkpoint deit.pth --images photos --out deit.pulsar
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FOLDER|FILE.onnx")]
    """Name of a timm model (with --checkpoint), a folder as timm or transformers save one, or an
    ONNX file."""

    images: Path
    """Folder of images like those that the network will see; no labels are needed."""

    out: Path
    """Model file to write, NAME.pulsar. A decoder that follows the transformer in an ONNX file goes
    to NAME.host.onnx beside it."""

    board: BoardName = "zcu102"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Its engine gives the bits of
    activations."""

    engine: EngineName = None

    weights: Annotated[
        Literal["4", "8", "mixed"] | None,
        tyro.conf.arg(metavar="4|8|mixed", help_behavior_hint=""),
    ] = None
    """Bits of the blocks' weights. By default mixed with --fps or --cycles, else 8. The patch
    embedding and the classifier always have 8."""

    act_bits: Annotated[
        Literal["4", "6", "8"] | None, tyro.conf.arg(metavar="4|6|8", help_behavior_hint="")
    ] = None
    """Bits of activations that the engine must have; an engine of others is refused."""

    fps: Rate = None
    """Frames per second to reach: as many rows of weights get 8 bits as there is time for."""

    cycles: Count = None
    """Most cycles per image, instead of a rate."""

    keep: KeepText = None

    most_images: int = MOST
    """Images that are used of a larger folder, evenly spaced."""

    report: OptionalPath = None
    """Also write a page to look at, FILE.html: the model beside the float network on these images.
    It takes about as long as 250 passes of the float network."""

    device: str = "cpu"
    """Where tensors are computed: cpu, cuda, or another of torch's names."""

    network: Annotated[ImportOptions, tyro.conf.OmitArgPrefixes] = field(
        default_factory=ImportOptions
    )

    def __post_init__(self) -> None:
        if self.out.suffix != ENDING:
            raise UserError(f"--out {self.out}: a model file's name ends in {ENDING}")
        check_report(self.report)
        if self.most_images < LEAST:
            raise UserError(f"--most-images must be at least {LEAST}, not {self.most_images}")


def main(options: QuantizeOptions) -> None:
    """Quantize a network.

    Raises
    ------
    UserError
        If the network, the images or the budget cannot be used.
    """
    hardware = HardwareTarget.load(options.board, options.engine)
    weights, cycles = wanted(options, hardware)
    device = usable_device(options.device)
    host_file = options.out.with_suffix(".host.onnx")
    files = image_files(options.images)
    with progress_bars() as bars:
        network = read(options.model, options.network)
        if options.keep is not None:
            network = keeping(network, options.keep)
        task = bars.add_task("images", total=None)
        images = load_images(
            files,
            network.preprocessing,
            network.image,
            most=options.most_images,
            progress=lambda step, steps: bars.update(task, completed=step, total=steps),
        )
        bars.update(task, completed=len(images), total=len(images))
        task = bars.add_task("starting", total=1)
        # Now, as it makes folders: the rest has been found.
        inputs = (options.model, options.network.checkpoint, options.board, options.engine, *files)
        host = host_file if network.host else None
        require_results((options.out, host, options.report), inputs)
        require_space(options.out.parent, megabytes(network))

        def show(what: str, step: int, steps: int) -> None:
            bars.update(task, description=what, completed=step, total=steps)

        result = quantize(
            network,
            images,
            hardware,
            weights=weights,
            cycles=cycles,
            host_file=host_file.name if network.host else "",
            work_folder=options.out.with_suffix(".work"),
            device=device,
            progress=show,
        )
    save(result.model, options.out, network.host, host_file)
    if options.report:
        with Console(stderr=True).status("Report"):
            host = load_host(network.host, host_file.name) if network.host else None
            name, data = options.out.name, f"{options.images}, which it was calibrated with"
            page = report_beside(name, result.model, network, host, hardware, images, data)
            write_report(page, options.report)
    print_tables(*described(network), summary(options, hardware, result))


def save(model: IntegerModel, out: Path, host: bytes | None, host_file: Path) -> None:
    """Write the model and what follows its features.

    The host network appears once the model is written, so that neither is there without the other
    where a disk is full.
    """
    with ExitStack() as stack:
        if host:
            stack.enter_context(atomic_write(host_file)).write(host)
        model.save(out)


def megabytes(network: FloatNetwork) -> int:
    """Return what the disk must have room for: the model, and the blocks of each trial."""
    weights = sum(part.numel() for _, part in tensors(network))
    return 1 + (2 + len(candidates(Method())) * FOLDS) * weights * 11 // 10 // 10**6


def wanted(options: QuantizeOptions, hardware: HardwareTarget) -> tuple[str, int | None]:
    """Return the weights and the most cycles that the options ask for."""
    if options.act_bits and int(options.act_bits) != hardware.engine.act_bits:
        raise UserError(
            f"--act-bits {options.act_bits}: engine '{hardware.engine.name}' has"
            f" {hardware.engine.act_bits}: choose another one (--engine)"
        )
    if options.fps is not None and options.cycles is not None:
        raise UserError("--fps and --cycles say the same: give one")
    if options.fps is not None and not options.fps > 0:
        raise UserError(f"--fps must be positive, not {options.fps:g}")
    limit = int(hardware.cycle_limit(options.fps)) if options.fps else options.cycles
    weights = options.weights or ("8" if limit is None else "mixed")
    if weights == "mixed" and limit is None:
        raise UserError("--weights mixed needs a rate or a number of cycles: --fps or --cycles")
    if weights != "mixed" and limit is not None:
        raise UserError(f"--weights {weights} leaves no choice: drop it, or --fps and --cycles")
    return weights, limit


def summary(options: QuantizeOptions, hardware: HardwareTarget, result: Quantization) -> Table:
    """Make a table of what was written."""
    model = result.model
    rows = {
        "model": str(options.out),
        "hash": model.hash[:16],
        "tokens, width, blocks": f"{model.tokens}, {model.width}, {len(model.blocks)}",
        **({"patches that stay": ", ".join(_kept(model))} if model.shape.selects else {}),
        "8-bit rows of the blocks": f"{share_of_eight_bits(result):.0%}",
        "activations": f"{model.act_bits} bits",
        "cycles per image": f"{result.cycles:,}",
        "frames per second": f"{hardware.board.frames_per_second(result.cycles):,.1f}"
        f" on {hardware.board.name} at {hardware.board.clock_hz / 1e6:g} MHz",
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _kept(model: IntegerModel) -> Iterator[str]:
    """Yield the patches that stay behind each block that selects."""
    for index, block in enumerate(model.blocks):
        if block.keep is not None:
            yield f"{block.keep} behind block {index}"


def share_of_eight_bits(result: Quantization) -> float:
    """Share of the blocks' rows that have 8 bits."""
    layers = [layer for name, layer in result.model.linears().items() if name.startswith("blocks.")]
    bits = np.concatenate([layer.bits for layer in layers])
    return float((bits == 8).mean())


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.quantize"))
