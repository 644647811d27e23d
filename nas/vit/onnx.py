"""The quantized ViT as ONNX files, and onnxruntime's codes of every tensor beside golden's."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nas.export_onnx.job import ExportFigures, run
from nas.quantize.method import Method
from nas.vit.example import Example
from nas.vit.photographs import TEST
from nas.vit.rows import HALF, W8A6, Row
from rtl.files import atomic_write

SCHEMA = 1
FIGURES = "onnx.json"
MIXED = Row("mixed", "mixed", HALF, method=Method())
"""A row like ``half``, by the default method: arithmetic is compared, not accuracy."""
ROWS = (W8A6, MIXED)


def measure(example: Example, rows: Sequence[Row] = ROWS) -> dict[str, ExportFigures]:
    """Export rows of the table, and compare every code of every tensor on all test crops.

    Returns
    -------
    dict
        By the row's name. Files of ONNX lie beside the models.

    Raises
    ------
    ToolError
        If any code differs.
    """
    return {row.name: _measured(example, row) for row in rows}


def _measured(example: Example, row: Row) -> ExportFigures:
    made = example.make(row)
    model, out = (example.folder / f"{row.name}.{ending}" for ending in ("pulsar", "onnx"))
    of = [made.model.hash, len(example.test)]

    def compute() -> dict[str, object]:
        return asdict(run(model, out, taps=True, folder=example.folder / TEST))

    return ExportFigures(**example.once(f"ONNX of {row.name}", of, compute))


def save(figures: dict[str, ExportFigures], path: Path) -> None:
    """Write the figures as JSON, in the schema of docs/json.md."""
    rows = [{"name": name, **asdict(each)} for name, each in figures.items()]
    with atomic_write(path, "w") as file:
        file.write(json.dumps({"schema": SCHEMA, "rows": rows}, indent=2) + "\n")
