"""The job of ``python -m nas.export_onnx``: export, compare with golden, write, report."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from rich.table import Table

from boards.host.pictures import prepare
from nas.export_onnx.comparison import compare
from nas.export_onnx.export import OPSET, export
from nas.folder import open_folder
from rtl.console import print_tables, progress_bars
from rtl.files import atomic_write, require_results
from rtl.model import IntegerModel
from sim.random_model import random_images

SCHEMA = 1


@dataclass(frozen=True)
class ExportFigures:
    """An exported file, every code of which was golden's.

    Parameters
    ----------
    model_hash : str
    opset : int
    file_bytes, model_bytes : int
        Of the ONNX file, and of the integer model's.
    rows_4_bits, rows_8_bits : int
        Rows of the model's matrices.
    images, codes : int
        That were compared.
    onnxruntime : str
        Its version.
    seconds_per_image : float
        That onnxruntime took.
    """

    model_hash: str
    opset: int
    file_bytes: int
    model_bytes: int
    rows_4_bits: int
    rows_8_bits: int
    images: int
    codes: int
    onnxruntime: str
    seconds_per_image: float


def run(
    source: Path,
    out: Path,
    *,
    taps: bool = False,
    folder: Path | None = None,
    json_file: Path | None = None,
) -> ExportFigures:
    """Export a model file, and print what was written.

    Parameters
    ----------
    source, out : Path
        Integer model; ONNX file.
    taps : bool
        As :func:`nas.export_onnx.export.export` has it.
    folder : Path, optional
        Of images to compare on.
    json_file : Path, optional
        To write the figures to.

    Raises
    ------
    UserError
        If the model or the images cannot be read.
    ToolError
        If onnxruntime computes anything else than golden; nothing is written then.
    """
    model = IntegerModel.load(source)
    files = open_folder(folder).files if folder else ()
    require_results((out, json_file), (source, *files))
    content = export(model, taps=taps)
    compared = compare(content, model, _images(model, files))
    bits = np.concatenate([layer.bits for layer in model.linears().values()])
    figures = ExportFigures(
        model_hash=model.hash,
        opset=OPSET,
        file_bytes=len(content),
        model_bytes=source.stat().st_size,
        rows_4_bits=int((bits == 4).sum()),
        rows_8_bits=int((bits == 8).sum()),
        images=compared.images,
        codes=compared.codes,
        onnxruntime=onnxruntime.__version__,
        seconds_per_image=compared.seconds / compared.images,
    )
    with atomic_write(out) as file:
        file.write(content)
    if json_file:
        with atomic_write(json_file, "w") as file:
            json.dump({"schema": SCHEMA, **asdict(figures)}, file, indent=2)
    print_tables(_summary(out, figures))
    return figures


def _images(model: IntegerModel, files: tuple[Path, ...]) -> Iterator[np.ndarray]:
    """Yield the pixels of files; of none, those of noise."""
    if not files:
        yield from random_images(model.image, 1)
        return
    with progress_bars() as bars:
        for file in bars.track(files, description="images"):
            yield prepare(file, model.preprocessing, model.image)


def _summary(out: Path, found: ExportFigures) -> Table:
    images = "1 image" if found.images == 1 else f"{found.images:,} images"
    times = found.file_bytes / found.model_bytes
    rows = {
        "file": str(out),
        "opset": str(found.opset),
        "bytes": f"{found.file_bytes:,}, {times:.2f} times the model's",
        "rows of 4 and 8 bits": f"{found.rows_4_bits:,}, {found.rows_8_bits:,}",
        "compared with golden": f"{found.codes:,} codes of {images}: none differs",
        "onnxruntime": f"{found.onnxruntime}, {found.seconds_per_image:.3f} s per image",
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    return table
