"""A finished search has a page with the front, the winners and their baselines."""

import json
import re

from nas.search.page import PICTURES
from nas.search.summary import Summary


def test_the_page_of_a_run(runs):
    folder = runs / "digits"
    text = (folder / "report.html").read_text(encoding="utf-8")
    summary = Summary.load(folder / "summary.json")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    data = json.loads(found)
    assert data["measured"] == summary.model_dump(mode="json", by_alias=True)
    winners = [p for p in data["quality"]["points"] if p["kind"] == "winner"]
    assert [p["value"] for p in winners] == [w.accuracy_integer for w in summary.winners]
    assert [p["interval"] for p in winners] == [
        list(w.accuracy_integer_interval) for w in summary.winners
    ]
    uniform = [p["value"] for p in data["quality"]["points"] if p["kind"] == "uniform"]
    assert uniform == [w.baselines.uniform.accuracy_integer for w in summary.winners]
    assert len(data["front"]["found"]) == summary.candidates
    chosen = {p["cycles"] for p in data["front"]["chosen"] if p["kind"] == "winner"}
    assert chosen == {w.predicted_cycles for w in summary.winners}
    assert chosen <= {cycles for cycles, _ in data["front"]["found"]}
    assert len(data["networks"]) == len(summary.winners)
    assert text.count("<article") == PICTURES
    assert "words that differ" not in text  # nothing ran on the RTL
