"""``python -m nas.export_onnx``: an integer model as an ONNX file that computes the same codes."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rtl.cli import Flag, OptionalPath, command
from rtl.errors import UserError

ENDING = ".onnx"


@dataclass(frozen=True)
class ExportOptions:
    """Write an integer model as an ONNX file of standard operators, which computes the same codes.

    The input is images, (batch, height, width, channels) uint8; the output logits, or the residual
    words of all tokens and their features. Before the file is written, onnxruntime runs it, and
    every code that it puts out is compared with golden. For example:

    python -m nas.export_onnx examples/digits.pulsar digits.onnx
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.pulsar")]
    """Integer model, as nas.quantize or nas.search write it."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT.onnx")]
    """File to write."""

    taps: Flag = False
    """Make every tensor of docs/numerics.md, section 8, an output, under its name."""

    compare: OptionalPath = None
    """Folder of images to compare on; by default one image of noise."""

    json: OptionalPath = None
    """File to write the printed figures to, as docs/json.md says."""

    def __post_init__(self) -> None:
        if self.out.suffix != ENDING:
            raise UserError(f"{self.out}: an ONNX file's name ends in {ENDING}")


def main(options: ExportOptions) -> None:
    """Export a model."""
    # Imported here: --help or a wrong option needs neither onnxruntime nor torch.
    from nas.export_onnx.job import run

    files = {"folder": options.compare, "json_file": options.json}
    run(options.model, options.out, taps=options.taps, **files)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.export_onnx"))
