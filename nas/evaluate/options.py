"""Options of ``python -m nas.evaluate``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from nas.importer.options import ImportOptions, OptionalInt
from rtl.cli import BoardName, EngineName, Flag, OptionalPath
from rtl.errors import UserError

BATCH_MAX, WORKERS_MAX = 4096, 64
PAGE = ".html"


def check_report(path: Path | None) -> None:
    """Refuse another ending than :data:`PAGE`."""
    if path is not None and path.suffix != PAGE:
        raise UserError(f"--report {path}: a page's name ends in {PAGE}")


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure an integer model on images: accuracy, and what quantization costs.

    With a folder for each class (named as the model's classes, or numbered from 0), prints top-1
    and top-5 with intervals; with --float also those of the float network, paired differences and
    agreement. Models without a classifier are compared with the float network by their features,
    and by the outputs of their host network. For example:

    python -m nas.evaluate my.pulsar --data photographs --float vit_small_patch16_224 --checkpoint
    my.safetensors
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """Integer model file, as nas.quantize or nas.search write it."""

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Images, or a folder of images for each class."""

    labels: OptionalPath = None
    """Classes of the images: a table of names and classes, such as ImageNet's LOC_val_solution.csv,
    or the folder of its development kit. By default labels.csv among the images, if it is there."""

    exact: Annotated[
        str | None, tyro.conf.arg(name="float", metavar="NAME|FILE", help_behavior_hint="")
    ] = None
    """The float network that the model was made of: an ONNX file, a timm name, or a folder as timm
    or transformers save one."""

    network: ImportOptions = field(default_factory=ImportOptions)

    limit: OptionalInt = None
    """Take only N of the images, evenly spread."""

    noise: Flag = False
    """Also measure the noise of every operation, alone and of all but it. Needs --float."""

    noise_images: int = 32
    """Images for --noise, evenly spread; each takes about 25 passes of the float network."""

    batch: int = 32
    """Images in memory at a time."""

    workers: int = 2
    """Processes that read images."""

    device: Annotated[str, tyro.conf.arg(metavar="cpu|cuda")] = "cpu"
    """Device that computes."""

    json: OptionalPath = None
    """Also write all figures to this file."""

    report: OptionalPath = None
    """Also write a page to look at, FILE.html, with drawings, and some images with answers."""

    board: BoardName = "zcu102"
    """Board on which the report shows cycles: kv260, sim, ulx3s, zcu102, zcu104, or a file."""

    engine: EngineName = None

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("--limit", self.limit, 1, None),
            ("--noise-images", self.noise_images, 1, None),
            ("--batch", self.batch, 1, BATCH_MAX),
            ("--workers", self.workers, 0, WORKERS_MAX),
        ):
            if value is not None and (value < least or (most is not None and value > most)):
                limit = f"at least {least}" if most is None else f"from {least} to {most}"
                raise UserError(f"{name} must be {limit}, not {value}")
        check_report(self.report)
        if self.noise and self.exact is None:
            raise UserError("--noise needs the float network: give it with --float")
