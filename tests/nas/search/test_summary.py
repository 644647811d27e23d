"""summary.json: it comes back as it was written, and a wrong field is named."""

import json

import pytest

from nas.search.summary import SCHEMA, Summary, versions
from rtl.errors import UserError


def test_a_summary_comes_back_as_it_was(runs, tmp_path):
    summary = Summary.load(runs / "digits" / "summary.json")
    summary.save(tmp_path / "copy.json")
    assert Summary.load(tmp_path / "copy.json") == summary
    assert (tmp_path / "copy.json").read_bytes() == (runs / "digits/summary.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA - 1}, f"schema {SCHEMA - 1}, not {SCHEMA}: another version wrote it"),
        ({"seed": "x"}, "seed: Input should be a valid integer"),
        ({"lanes": -1}, "lanes: Input should be greater than or equal to 0"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_field_is_named(change, message, runs, tmp_path):
    path = tmp_path / "summary.json"
    data = json.loads((runs / "digits" / "summary.json").read_text())
    path.write_text(json.dumps(data | change))
    with pytest.raises(UserError) as raised:
        Summary.load(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_versions_are_those_installed():
    found = versions()
    assert found["python"].count(".") == 2 and "torch" in found
