"""The example of a new board in CONTRIBUTING: its text is run, and prints what the page shows."""

import re
from pathlib import Path

from nas import fit
from rtl import config
from rtl.cli import command
from rtl.resources.structure import dsps

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = PAGE[PAGE.index("**A new board**") :]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", EXAMPLE, re.MULTILINE | re.DOTALL)
(_, TOML), (_, PRESET), (_, PRINTED) = BLOCKS[:3]


def test_another_board(tmp_path, monkeypatch, capsys):
    assert [kind for kind, _ in BLOCKS[:3]] == ["toml", "python", ""]
    names = dict(vars(config))
    exec(PRESET, names)
    preset = names["ULTRA96"]
    (tmp_path / "ultra96.toml").write_text(TOML)
    monkeypatch.setattr("rtl.board.board.FOLDER", tmp_path)
    monkeypatch.setitem(config.ENGINES, preset.name, preset)
    assert sum(dsps(preset, "xilinx").values()) == 331
    words = re.findall(r"`python -m nas.fit (.*?)`", EXAMPLE)[0].split()
    assert command(fit.main, prog="python -m nas.fit", args=words) == 0
    assert lines(capsys.readouterr().out) == lines(PRINTED)


def lines(text: str) -> list[str]:
    """The lines without the blanks around them."""
    return [line.strip() for line in text.splitlines() if line.strip()]
