"""The benchmark of the timing model: what it prints, not how long it takes."""

import json

import pytest

from rtl.cli import command

pytest.importorskip("amaranth")

from rtl.timing import bench


def test_it_prints_the_time_of_each_part_for_both_networks(capsys):
    assert command(bench.main, prog="bench", args=["--rounds", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"deit_s", "digits"}
    for times in figures.values():
        assert set(times) == set(bench.PARTS)
        assert 0 < times["lower"] < 2 * times["predict"]
    assert figures["digits"]["predict"] < figures["deit_s"]["predict"]


def test_it_shows_a_network_per_line(capsys):
    assert command(bench.main, prog="bench", args=["--rounds", "1"]) == 0
    lines = capsys.readouterr().out
    assert "deit_s" in lines and "digits" in lines


def test_it_needs_a_round(capsys):
    assert command(bench.main, prog="bench", args=["--rounds", "0"]) == 2
    assert "--rounds 0: must be at least 1" in capsys.readouterr().err
