"""Options of the command, and which are refused."""

from pathlib import Path

import pytest

from nas.evaluate.options import EvaluateOptions
from rtl.cli import command

SEEN = []


def main(options: EvaluateOptions) -> None:
    SEEN.append(options)


def run(*args: str) -> int:
    return command(main, prog="python -m nas.evaluate", args=args)


def test_the_float_network_has_an_importers_options():
    assert not run("a.pulsar", "--data", "b", "--float", "deit_tiny", "--classes", "3", "--noise")
    (options,) = SEEN
    assert (options.model, options.data, options.exact) == (
        Path("a.pulsar"),
        Path("b"),
        "deit_tiny",
    )
    assert options.network.classes == 3 and options.noise


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--data is missing: FOLDER Images, or a folder of images for each class"),
        (
            ("--data", "b", "--noise"),
            "--noise needs the float network: give it with --float",
        ),
        (("--data", "b", "--limit", "0"), "--limit must be at least 1, not 0"),
        (("--data", "b", "--batch", "5000"), "--batch must be from 1 to 4096, not 5000"),
        (("--data", "b", "--workers", "-1"), "--workers must be from 0 to 64, not -1"),
        (("--data", "b", "--image-size", "0"), "--image-size must be from 1 to 4096, not 0"),
    ],
)
def test_wrong_options_are_one_line(args, message, capsys):
    assert run("a.pulsar", *args) == 2
    assert capsys.readouterr().err == f"python -m nas.evaluate: error: {message}\n"
