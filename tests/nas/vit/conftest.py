"""A small network with a decoder, as an ONNX file, with pictures: the example in small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.vit.example import Example, MadeRow
from nas.vit.rows import Row
from tests.nas.importer.tiny import MEAN, STD, export

W8A6 = Row("w8a6", engine="tiny")


def pictures(folder: Path, count: int, seed: int) -> tuple[Path, ...]:
    """Write random pictures of 16 x 16 pixels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{index}.png" for index in range(count))
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(path)
    return paths


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Example, MadeRow]:
    """An example and its first row; tests that change the folder make a :func:`fresh` one."""
    folder = tmp_path_factory.mktemp("vit")
    source, _ = export(folder)
    example = Example(
        folder,
        str(source),
        pictures(folder / "calibration", 8, 0),
        pictures(folder / "test", 3, 1),
        {"mean": MEAN, "std": STD},
        "sim",
    )
    return example, example.make(W8A6)


@pytest.fixture
def fresh(made, tmp_path) -> Example:
    """The same example in a folder of its own."""
    return replace(made[0], folder=tmp_path)
