"""The example that draws pictures: the same ones each time, of eight classes."""

import runpy
from pathlib import Path

from nas.task.parts import find_parts

SCRIPT = Path(__file__).parents[1] / "examples" / "shapes.py"


def test_shapes_are_the_same_each_time(tmp_path):
    draw = runpy.run_path(str(SCRIPT))["main"]
    for name in ("a", "b"):
        draw(tmp_path / name, count=5)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    pictures = [(tmp_path / "a" / file).read_bytes() for file in files]
    assert pictures == [(tmp_path / "b" / file).read_bytes() for file in files]
    assert len(files) == len(set(pictures)) == 40
    assert find_parts(tmp_path / "a").class_names == tuple(
        sorted({file.parts[0] for file in files})
    )
