"""The driver's own time; how much it is depends on the machine, so nothing is asserted of it."""

import json

from boards.overhead import main, measure
from tests.boards.host.networks import small
from tests.documented import keys, section


def test_runs_are_counted():
    assert len(measure(small().package, 3)) == 3


def test_a_report(tmp_path, capsys):
    (tmp_path / "a.package").write_bytes(small().package.encode())
    arguments = [str(tmp_path / "a.package"), "--runs", "5", "--json", str(tmp_path / "a.json")]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["runs"] == 5 and report["median_s"] > 0
    assert report.keys() == keys("Overhead")
    assert f"| `schema` | {report['schema']} |" in section("Overhead")
    assert "the median of 5 runs of one image" in capsys.readouterr().out


def test_no_package(tmp_path, capsys):
    assert main([str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.endswith("absent: no such file\n")


def test_no_runs(tmp_path, capsys):
    assert main([str(tmp_path / "absent"), "--runs", "0"]) == 2
    assert "--runs must be at least 1, not 0" in capsys.readouterr().err
