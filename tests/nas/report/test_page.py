"""The page loads nothing, escapes names, and holds its data."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from nas.report.content import Report
from nas.report.data import report_data
from nas.report.page import DATA, POLICY, page, write_report
from tests.nas.report import samples

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and checks that elements end in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


@pytest.fixture(scope="module")
def text() -> str:
    return page(samples.report())


@pytest.fixture(scope="module")
def read(text) -> Reader:
    return Reader(text)


def test_it_is_well_formed(text, read):
    assert text.startswith("<!doctype html>\n<html")
    assert read.open == []


def test_nothing_is_loaded_from_outside(text, read):
    """No address but those inside the file, in elements or in the style."""
    assert not {"link", "iframe", "object", "embed", "base"} & set(read.tags)
    for name, value in read.attributes:
        if name in ("src", "srcset", "href", "data", "poster", "action", "xlink:href"):
            assert value.startswith("data:image/"), (name, value)
        if name.startswith("on"):
            raise AssertionError(f"a script in {name}")
    assert not re.search(r"url\(|@import|https?:", text)
    assert ("content", POLICY) in read.attributes


def test_no_script_runs(read):
    assert read.tags.count("script") == 1  # the data
    assert ("type", "application/json") in read.attributes


def test_its_data_parse(read):
    (data,) = [data for tag, data in read.texts if tag == "script"]
    assert json.loads(data) == json.loads(json.dumps(report_data(samples.report())))
    assert ("id", DATA) in read.attributes


def test_names_are_escaped(read):
    assert ("h1", samples.HOSTILE) in read.texts and ("title", samples.HOSTILE) in read.texts
    assert ("h3", samples.HOSTILE) in read.texts  # of a picture
    assert ("h2", samples.HOSTILE) in read.texts  # of a network


def test_every_section_is_there(read):
    heads = [text for tag, text in read.texts if tag in ("h2", "h3")]
    assert [
        "Results", "What the search found", "Accuracy against cycles", "Error budget",
    ] == heads[:4]  # fmt: skip
    assert heads.count("Bits by tile") == heads.count("Roofline") == 2
    assert "Images and answers" in heads


def test_what_is_not_known_is_left_out():
    found = Reader(page(Report("title", "lead")))
    assert [text for tag, text in found.texts if tag in ("h2", "h3")] == []


def test_a_refused_network_says_so():
    report = samples.report()
    refused = replace(report.networks[0], estimate=None, refusal="too wide")
    text = page(replace(report, networks=(refused,)))
    assert "The engine refuses the network: too wide." in text
    assert "Bits by tile" in text and "Roofline" not in text


def test_equal_reports_give_equal_bytes(text, tmp_path):
    write_report(samples.report(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_nothing_half_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(replace(samples.report(), measured={"a": float("nan")}), tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []
