"""The job of ``python -m nas.export_onnx``: export, compare with golden, write, report."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from rich.table import Table

from boards.host.pictures import prepare
from nas.export_onnx.comparison import CodeComparison, compare
from nas.export_onnx.export import OPSET, export
from nas.folder import open_folder
from rtl.console import print_tables, progress_bars
from rtl.files import atomic_write, require_writable
from rtl.model import IntegerModel
from sim.random_model import random_images


def run(
    source: Path, out: Path, *, taps: bool = False, folder: Path | None = None
) -> CodeComparison:
    """Export a model file, and print what was written.

    Parameters
    ----------
    source, out : Path
        Integer model; ONNX file.
    taps : bool
        As :func:`nas.export_onnx.export.export` has it.
    folder : Path, optional
        Of images to compare on.

    Raises
    ------
    UserError
        If the model or the images cannot be read.
    ToolError
        If onnxruntime computes anything else than golden; nothing is written then.
    """
    model = IntegerModel.load(source)
    files = open_folder(folder).files if folder else ()
    require_writable(out)
    content = export(model, taps=taps)
    compared = compare(content, model, _images(model, files))
    with atomic_write(out) as file:
        file.write(content)
    print_tables(_summary(out, len(content), source.stat().st_size, compared))
    return compared


def _images(model: IntegerModel, files: tuple[Path, ...]) -> Iterator[np.ndarray]:
    """Yield the pixels of files; of none, those of noise."""
    if not files:
        yield from random_images(model.image, 1)
        return
    with progress_bars() as bars:
        for file in bars.track(files, description="images"):
            yield prepare(file, model.preprocessing, model.image)


def _summary(out: Path, size: int, source_size: int, compared: CodeComparison) -> Table:
    images = "1 image" if compared.images == 1 else f"{compared.images:,} images"
    rows = {
        "file": str(out),
        "opset": str(OPSET),
        "bytes": f"{size:,}, {size / source_size:.2f} times the model's",
        "compared with golden": f"{compared.codes:,} codes of {images}: none differs",
        "onnxruntime": f"{onnxruntime.__version__}, {compared.seconds / compared.images:.3f} s"
        " per image",
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    return table
