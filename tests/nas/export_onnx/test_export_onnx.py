"""``python -m nas.export_onnx``: one command, one line where something is wrong."""

import pytest

from nas.export_onnx.__main__ import main
from rtl.cli import command
from tests.nas.conftest import EXAMPLES

PROG = "python -m nas.export_onnx"


def test_writes_a_file(tmp_path, capsys):
    out = tmp_path / "digits.onnx"
    arguments = [str(EXAMPLES / "digits.pulsar"), str(out)]
    assert command(main, prog=PROG, args=arguments) == 0
    assert out.stat().st_size > 10_000
    assert "10 codes of 1 image: none differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.pulsar", "{out}.onnx"], "none.pulsar: no such file"),
        (["{digits}", "{out}.pulsar"], "{out}.pulsar: an ONNX file's name ends in .onnx"),
        (["{image}", "{out}.onnx"], "{image}: truncated, or not an integer model"),
        (["{digits}"], "OUT.onnx is missing"),
        (["{digits}", "{out}.onnx", "--compare", "none"], "none: no such folder"),
        (["{digits}", "{out}.onnx", "--tap"], "unknown option --tap: the nearest is --taps"),
    ],
)
def test_mistakes_are_one_line(arguments, said, tmp_path, capsys):
    given = {
        "out": str(tmp_path / "a"),
        "digits": str(EXAMPLES / "digits.pulsar"),
        "image": str(EXAMPLES / "digit-1.png"),
    }
    arguments = [each.format(**given) for each in arguments]
    assert command(main, prog=PROG, args=arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{PROG}: error: {said.format(**given)}") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
