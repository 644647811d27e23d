"""Reports are there whole or not at all."""

import json

import pytest

from boards.host.errors import UserError
from boards.host.reports import require_place, write_report


def test_a_report_replaces_the_one_before(tmp_path):
    path = tmp_path / "a.json"
    for value in (1, 2):
        write_report(path, {"value": value})
        assert json.loads(path.read_text()) == {"value": value}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_what_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "a.json"
    write_report(path, {"value": 1})
    with pytest.raises(TypeError):
        write_report(path, {"value": object()})
    assert json.loads(path.read_text()) == {"value": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_place_is_known_before_the_work(tmp_path):
    require_place(None)
    require_place(tmp_path / "a.json")
    assert not any(tmp_path.iterdir())
    with pytest.raises(UserError, match="cannot be written: the program reads this file itself"):
        require_place(tmp_path / "a.json", ["b", tmp_path / "none" / ".." / "a.json"])
    for path in (tmp_path, tmp_path / "none" / "a.json"):
        with pytest.raises(UserError, match=r": cannot be written: it takes a folder that is"):
            require_place(path)
