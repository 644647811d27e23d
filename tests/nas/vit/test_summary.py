"""The summary's file, and the published one: of the inputs that the repository lists."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nas.vit.inputs import input_hashes
from nas.vit.rows import TABLE
from nas.vit.summary import SCHEMA, VitSummary, versions

PUBLISHED = Path(__file__).parents[3] / "docs" / "results" / "vit.json"


def summary() -> VitSummary:
    accuracy = {
        **{"name": "w8a6", "accuracy": 0.9, "difference": -1.0},
        **{"interval": (-2.0, 0.5), "agreement": 0.95},
    }
    row = {
        **{"name": "w8a6", "cos": 0.99, "corr": 0.99, "rel": 0.1},
        **{"cycles": 5, "seconds": 1.5, "peak_bytes": 9},
    }
    return VitSummary.model_validate(
        {
            "inputs": input_hashes(),
            "versions": versions(),
            "import_error": 1e-5,
            **{name: [row] for name in ("rows", "baselines", "random_tiles")},
            "random_ratio": 0.7,
            "noise": {"total": 0.1, "root_of_squares": 0.1, "sources": {"weights": 0.1}},
            "probe_accuracy": 0.9,
            "probe": [accuracy],
            "digits": {"accuracy": 0.9, "seconds": 3.0, "cycles": {"a": 5}, "rows": [accuracy]},
            "rtl": [{"photograph": "chelsea-0", "cycles": 5, "words": 9, "seconds": 1.0}],
            "rtl_images": 1,
            "rtl_mismatches": 0,
        }
    )


def test_the_file_gives_the_summary_back(tmp_path):
    summary().save(tmp_path / "summary.json")
    assert VitSummary.load(tmp_path / "summary.json") == summary()
    text = (tmp_path / "summary.json").read_text()
    assert f'"schema": {SCHEMA}' in text
    (tmp_path / "summary.json").write_text(text.replace('"rtl_images"', '"images"'))
    with pytest.raises(ValidationError):
        VitSummary.load(tmp_path / "summary.json")


def test_the_published_figures_are_of_these_inputs():
    """Whoever changes photographs, crops or the method's defaults has to measure again."""
    published = VitSummary.load(PUBLISHED)
    assert published.inputs == input_hashes()
    assert [row.name for row in published.rows] == [row.name for row in TABLE]
    assert published.rtl_images >= 2 and published.rtl_mismatches == 0
