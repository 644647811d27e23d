"""The roofline has a point for every kind of layer."""

from nas.report.cycles import cycles_by_layer
from nas.report.roofline import roofline_figure
from tests.nas.report.samples import estimated, titles


def test_roofline_names_every_kind():
    estimate = estimated()
    said = titles(roofline_figure(estimate))
    kinds = {text.partition(":")[0] for text in said if "MAC/s" in text}
    assert kinds == {*estimate.breakdown.multiplying, "network"}
    assert any("no traffic" in text for text in said)


def test_a_network_without_a_classifier():
    estimate = estimated(output="tokens")
    assert "head" not in cycles_by_layer(estimate)
    assert not any(text.startswith("head") for text in titles(roofline_figure(estimate)))
