"""The command line of studies: what it refuses, in one line."""

import pytest

from nas.studies.__main__ import main
from rtl.cli import command


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("alone", "--subnets", "1"), "--subnets must be from 2 to 1000, not 1"),
        (("alone", "--seed", "-1"), "--seed must be from 0 to 2147483648, not -1"),
        (("supernet", "--seeds", "0"), "--seeds must be from 1 to 100, not 0"),
        (("splits", "--workers", "0"), "--workers must be from 1 to 256, not 0"),
        (("apart",), "apart"),
        ((), "is missing: Which study"),
    ],
)
def test_mistakes_are_one_line(args, said, capsys):
    assert command(main, prog="python -m nas.studies", args=args) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
